"""What `users` and `chats` share: the groups that were asked for, and the session that serves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.models import Scope
from realtime.cursors import CursorKey
from realtime.models import SentKind
from realtime.socket.frames import UNAUTHORIZED, Failed, Malformed, given, text_of
from realtime.threads import look_up
from sessions_app.lookup import visible_sessions
from sessions_app.models import TelegramSession

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

LOGIN_REQUIRED = "login required"
LATEST = "latest"
MAX_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """A group by the name that the client gave it; `latest`: only what was not sent yet."""

    name: str
    latest: bool


@dataclass(frozen=True, slots=True)
class Order:
    """One request: its groups, served in order; `done` adds a frame after each."""

    session: TelegramSession
    user_id: int
    groups: list[Group]
    done: bool

    def cursor(self, kind: SentKind, chat_id: int) -> CursorKey:
        assert self.session.account_id is not None
        return CursorKey(self.user_id, self.session.account_id, kind, chat_id)


Serve = Callable[["TelegramConsumer", Order, Group], Awaitable[int]]


async def take_order(
    socket: "TelegramConsumer", event: str, data: dict[str, Any], serve: Serve
) -> None:
    """Check a request and have it served after those before it."""
    groups = groups_of(data)
    if socket.access is None:
        raise Failed(LOGIN_REQUIRED, close=UNAUTHORIZED)
    caller = socket.access.caller
    caller.require(Scope.READ.value)

    def find() -> TelegramSession | None:
        sessions = visible_sessions(caller).select_related("account", "owner")
        return sessions.filter(name=socket.session_name).first()

    session = await look_up(find)
    if session is None or not session.is_ready or session.account_id is None:
        raise Failed(LOGIN_REQUIRED, close=UNAUTHORIZED)
    order = Order(session, caller.user.pk, groups, data.get("done") is True)

    async def run() -> None:
        for group in order.groups:
            count = await serve(socket, order, group)
            if order.done:
                await socket.reply(event, {"group": group.name, "done": True, "count": count})

    socket.serve_later(event, run())


def groups_of(data: dict[str, Any]) -> list[Group]:
    """Return the groups of a request; a group's own status beats the outer one."""
    groups = given(data, "group")
    if isinstance(groups, str | int | dict) and not isinstance(groups, bool):
        groups = [groups]
    if not isinstance(groups, list):
        raise Malformed("'group' is not a list")
    if len(groups) > MAX_GROUPS:
        raise Malformed(f"'group' has more than {MAX_GROUPS} entries")
    outer = _is_latest(data)
    return [
        Group(text_of(one, "name"), _is_latest(one) if one.get("status") else outer)
        if isinstance(one, dict)
        else Group(text_of({"group": one}, "group"), outer)
        for one in groups
    ]


def _is_latest(data: dict[str, Any]) -> bool:
    status = data.get("status") or ""
    if status not in ("", LATEST):
        raise Malformed("'status' is '' or 'latest'")
    return bool(status)
