"""Without TELEGRAM_DC the hub goes to Telegram itself, and believes no other server.

Shown without a network: the session's proxy writes down where the hub wants to go.
"""

from collections.abc import Callable, Iterator

import pytest

from sandbox import Sandbox
from sandbox.proxies import Reader, Route, Socks5Proxy, Writer
from tests.hub import Hub, wait_until

PHONE = "+15550600001"


class Detour(Socks5Proxy):
    """Leads every connection to the sandbox, whatever it was meant for."""

    def __init__(self, telegram: Sandbox, username: str, password: str) -> None:
        super().__init__(username, password)
        host, _, port = telegram.dc.partition("@")[2].rpartition(":")
        self.target = Route(host, int(port))
        self.wanted: list[str] = []

    async def agree(self, reader: Reader, writer: Writer) -> Route:
        route = await super().agree(reader, writer)
        self.wanted.append(f"{route.host}:{route.port}")
        return self.target


@pytest.fixture
def detour(telegram: Sandbox) -> Iterator[Detour]:
    telegram.world.add_user(phone=PHONE, first_name="Ann")
    with Detour(telegram, "pat", "hunter2") as proxy:
        yield proxy


def prepare(hub: Hub, proxy: Detour) -> None:
    """Make a session with a proxy of its own, as the admin page does."""
    program = (
        "from accounts.models import User\n"
        "from sessions_app.lookup import get_or_create_session\n"
        "from sessions_app.proxies import parse_proxy\n"
        "owner, _ = User.objects.get_or_create(username='local')\n"
        "session = get_or_create_session(owner, 'proxied')\n"
        f"session.proxy = parse_proxy('socks5://pat:hunter2@127.0.0.1:{proxy.port}')\n"
        "session.save(update_fields=['proxy'])"
    )
    hub.manage("shell", "--verbosity", "0", "-c", program)


def test_it_goes_to_telegram_and_believes_no_other_server(
    make_hub: Callable[..., Hub], telegram: Sandbox, detour: Detour
) -> None:
    hub = make_hub(TELEGRAM_DC="", TELEGRAM_DC_PUBLIC_KEY="").start()
    prepare(hub, detour)
    answer = hub.post("/login/start", {"session_id": "proxied", "phone_number": PHONE})
    assert answer.status_code == 502, answer.text
    assert answer.json()["code"] == "telegram_unreachable"
    assert set(detour.wanted) == {"149.154.167.51:443"}
    assert telegram.calls.count("auth.sendCode") == 0
    assert "hunter2" not in hub.log()


def test_a_proxy_carries_the_whole_login(
    make_hub: Callable[..., Hub], telegram: Sandbox, detour: Detour
) -> None:
    hub = make_hub().start()
    prepare(hub, detour)
    hub.log_in("proxied", PHONE, telegram.login_code)
    assert detour.wanted, "not one packet went past the proxy"
    assert hub.status("proxied")["is_connected"]
    detour.stop()
    telegram.faults.drop_connections()
    wait_until(lambda: not hub.status("proxied")["is_connected"])
    assert "hunter2" not in hub.log()
