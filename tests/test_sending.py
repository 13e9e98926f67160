"""Sending over the hub: idempotency, floods, refusals."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sandbox import Sandbox
from tests.hub import Hub, wait_until

numbers = itertools.count(1)


class Sender:
    """An account of one test's own, logged in on the hub that the module shares."""

    def __init__(self, hub: Hub, telegram: Sandbox) -> None:
        number = next(numbers)
        self.hub, self.telegram = hub, telegram
        self.name = f"s{number}"
        phone = f"+155504{number:05}"
        self.user = telegram.world.add_user("Sender", phone=phone, username=f"sender_{number}")
        self.friend = telegram.world.add_user(
            "Friend", phone=f"+155505{number:05}", username=f"friend_{number}"
        )
        hub.log_in(self.name, phone, telegram.login_code)

    def send(self, text: str, chat: object = "me", **headers: str) -> httpx.Response:
        body = {"session_id": self.name, "chat_id": chat, "message": text}
        return self.hub.post("/message/send", body, headers=headers)

    def sent_texts(self) -> list[str]:
        """What Telegram has in the sender's chats."""
        return [message.text for message in self.user.messages.values()]


@pytest.fixture(scope="module")
def telegram(module_telegram: Sandbox) -> Sandbox:
    return module_telegram


@pytest.fixture
def sender(module_hub: Hub, telegram: Sandbox) -> Iterator[Sender]:
    yield Sender(module_hub, telegram)
    telegram.faults.clear()


def test_it_works(sender: Sender) -> None:
    answer = sender.send("Hello, World!", f"@{sender.friend.username}")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert body["status"] == "success"
    assert body["message"] == "Message sent successfully"
    assert body["chat_id"] == sender.friend.id
    assert isinstance(body["message_id"], int)
    assert body["date"]
    assert [m.text for m in sender.friend.messages.values()] == ["Hello, World!"]


@pytest.mark.parametrize("form", ["{name}", "@{name}", "https://t.me/{name}", "{id}"])
def test_every_form_of_a_chat_reference(sender: Sender, form: str) -> None:
    friend = sender.friend
    assert sender.send("First", f"@{friend.username}").status_code == 200
    reference = form.format(name=friend.username, id=friend.id)
    assert sender.send("Second", reference).json()["chat_id"] == friend.id
    if form == "{id}":
        assert sender.send("Third", friend.id).json()["chat_id"] == friend.id


def test_one_key_sends_once(sender: Sender) -> None:
    headers = {"Idempotency-Key": f"order-{sender.name}"}
    first, second = sender.send("Once", **headers), sender.send("Once", **headers)
    assert first.json() == second.json()
    assert sender.sent_texts() == ["Once"]
    other = sender.send("Another text", **headers)
    assert other.status_code == 409


def test_twenty_parallel_sends_with_one_key_and_a_kill(
    sender: Sender, telegram: Sandbox, count: Callable[[int, int], int]
) -> None:
    hub = sender.hub
    for attempt in range(count(2, 20)):
        text = f"Exactly once {attempt}"
        headers = {"Idempotency-Key": f"parallel-{sender.name}-{attempt}"}
        arrived = threading.Event()

        def try_to_send(_: int, text: str = text, headers: dict[str, str] = headers) -> int:
            try:
                return sender.send(text, **headers).status_code
            except httpx.HTTPError:
                return 0

        def watch(text: str = text, arrived: threading.Event = arrived) -> None:
            wait_until(lambda: text in sender.sent_texts())
            arrived.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        telegram.faults.latency(0.05)
        with ThreadPoolExecutor(20) as pool:
            answers = pool.map(try_to_send, range(20))
            arrived.wait(30)
            hub.kill()
            list(answers)
        telegram.faults.clear()
        watcher.join()
        hub.start()
        hub.wait_connected(sender.name)
        again = sender.send(text, **headers)
        assert again.status_code == 200, again.text
        assert again.json()["message_id"]
        assert sender.sent_texts().count(text) == 1


def test_a_flood_wait_is_told_at_once_and_kept(sender: Sender, telegram: Sandbox) -> None:
    telegram.faults.flood("messages.sendMessage", 30, times=1)
    refused = sender.send("Too fast")
    assert refused.status_code == 429
    assert refused.json()["code"] == "flood_wait"
    assert 28 <= int(refused.headers["Retry-After"]) <= 30
    served = telegram.calls.count("messages.sendMessage", user_id=sender.user.id)
    assert sender.send("Still too fast").status_code == 429
    sender.hub.kill()
    sender.hub.start()
    sender.hub.wait_connected(sender.name)
    refused = sender.send("After a restart")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 30
    assert telegram.calls.count("messages.sendMessage", user_id=sender.user.id) == served
    # Another method is not concerned.
    assert sender.hub.get(f"/session/{sender.name}/status").status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ((403, "CHAT_WRITE_FORBIDDEN"), 403),
        ((400, "CHAT_ADMIN_REQUIRED"), 403),
        ((400, "USER_BANNED_IN_CHANNEL"), 403),
        ((400, "MESSAGE_TOO_LONG"), 400),
        ((400, "PEER_ID_INVALID"), 404),
        ((400, "CHANNEL_PRIVATE"), 403),
        ((401, "SESSION_REVOKED"), 401),
        ((500, "RPC_CALL_FAIL"), 502),
        ((420, "FLOOD_WAIT_77"), 429),
    ],
)
def test_telegrams_refusals(
    sender: Sender, telegram: Sandbox, error: tuple[int, str], status: int
) -> None:
    telegram.faults.fail("messages.sendMessage", *error, times=20)
    refused = sender.send("No")
    assert refused.status_code == status, refused.text
    assert set(refused.json()) >= {"detail", "code"}
    assert (status == 429) == ("Retry-After" in refused.headers)


def test_a_chat_that_does_not_exist(sender: Sender) -> None:
    assert sender.send("Hello?", "@nobody_has_this_name").status_code == 404
    assert sender.send("Hello?", -1009999999999).status_code == 404


def test_incoming_messages_are_noticed_but_not_told(sender: Sender, telegram: Sandbox) -> None:
    telegram.world.post(sender.friend.id, sender.user.id, "the secret recipe")
    wait_until(lambda: f"from {sender.friend.id}" in sender.hub.log())
    assert "the secret recipe" not in sender.hub.log()
