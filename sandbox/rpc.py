"""The seam between the protocol and the methods: the registry, a call, an error.

A method of Telegram's API is one coroutine in `sandbox/methods/`:

    @handles(functions.messages.GetHistoryRequest)
    async def get_history(call: Call, request: Any) -> TLObject:
        if not allowed:
            raise RpcError(400, "PEER_ID_INVALID")
        return types.messages.Messages(...)

It returns a TL object, ready bytes, a bool, an int, or a list (a `Vector`).
`invokeWithLayer`, `initConnection`, `invokeAfterMsg`, gzip and containers are
taken off before it is called, faults are applied, and what happened is logged.

What the server asks of the world: `world.authorizations`, a dict by auth key id, where it
puts an `Authorization(auth_key_id=…, dc=…)` when a key exchange ends; `authorization.user_id`
(None before login) and `.refusal`; `world.log_out`; `world.users`, a dict by user id; and
`world.updates.sink`, which it sets to `Server.push`. Handlers run on the server's event loop;
world verbs come from any thread.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from sandbox.world import World
    from sandbox.world.model import Authorization, User

Handler = Callable[["Call", Any], Awaitable[Any]]
H = TypeVar("H", bound=Handler)


class RpcError(Exception):
    """What the client gets instead of a result, such as 420 `FLOOD_WAIT_30`.

    Source: https://core.telegram.org/api/errors
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class DcOption(NamedTuple):
    """Where a data centre listens; the list is `call.server.dc_options`."""

    dc: int
    host: str
    port: int


class Origin(NamedTuple):
    """One client session: what its own action caused is in the result, not pushed."""

    auth_key_id: int
    session_id: int


@dataclass(slots=True)
class ClientInfo:
    """What `initConnection` told about the client; kept with the auth key.

    Source: https://core.telegram.org/method/initConnection
    """

    api_id: int = 0
    device_model: str = ""
    system_version: str = ""
    app_version: str = ""
    system_lang_code: str = ""
    lang_pack: str = ""
    lang_code: str = ""
    ip: str = ""


class Server(Protocol):
    """What methods and the world may ask of the running data centres.

    All are safe to call from any thread.
    """

    @property
    def dc_options(self) -> Sequence[DcOption]: ...

    @property
    def main_dc(self) -> int: ...

    def push(self, user_id: int, updates: Any, *, exclude: Origin | None = None) -> None:
        """Send `updates` (TL object or bytes) to each connection of the user, on any DC.

        The world calls this as `world.updates.sink`; `exclude` is `call.origin` for the
        user's own action. Sessions that asked `invokeWithoutUpdates` get nothing.
        """

    def push_to_key(self, auth_key_id: int, updates: Any) -> None:
        """Send `updates` to the connections of one key, authorised or not (updateLoginToken)."""

    def drop_key(self, auth_key_id: int) -> None:
        """Close the connections of a key; the key stays valid for a new login."""

    def destroy_key(self, auth_key_id: int) -> None:
        """Forget a key and close its connections; its next packet gets transport error 404."""


@dataclass(slots=True)
class Call:
    """One RPC: who asks, where, and over what.

    `user` is None before login. `auth` is the authorisation of the connection's key: it
    exists from the key exchange on, `auth.user_id` being None until `auth.signIn` or the
    like sets it. `layer` and `client` were given by any connection of this key.
    """

    world: World
    server: Server
    auth: Authorization
    user: User | None
    dc: int
    session_id: int
    method: str
    layer: int = 0
    client: ClientInfo = field(default_factory=ClientInfo)
    connection: Any = None

    @property
    def origin(self) -> Origin:
        return Origin(self.auth.auth_key_id, self.session_id)

    @property
    def me(self) -> User:
        """The logged-in user; 401 before login."""
        if self.user is None:
            raise RpcError(401, "AUTH_KEY_UNREGISTERED")
        return self.user

    def now(self) -> int:
        """Return the server's time in Unix seconds."""
        return self.world.now()


class Method(NamedTuple):
    """A served method: its name as Telegram writes it, and who may call it."""

    name: str
    request: type
    run: Handler
    anonymous: bool


METHODS: dict[int, Method] = {}
"""The served methods by constructor id."""


def handles(request: type, *, anonymous: bool = False) -> Callable[[H], H]:
    """Register a coroutine as the body of a method.

    `anonymous` methods may be called before login; any other answers
    401 `AUTH_KEY_UNREGISTERED` then.
    """

    def register(run: H) -> H:
        constructor: int = request.CONSTRUCTOR_ID  # type: ignore[attr-defined]
        if constructor in METHODS:
            raise ValueError(f"{method_name(request)} is served twice")
        METHODS[constructor] = Method(method_name(request), request, run, anonymous)
        return run

    return register


def method_name(request: type) -> str:
    """Return Telegram's name of a Telethon request class: `messages.getHistory`."""
    bare = request.__name__.removesuffix("Request")
    bare = bare[:1].lower() + bare[1:]
    topic = request.__module__.rpartition(".")[2]
    return bare if topic == "functions" else f"{topic}.{bare}"


def load_methods() -> None:
    """Import every module of `sandbox/methods`, so that each method is registered."""
    from sandbox import methods

    for module in pkgutil.iter_modules(methods.__path__, "sandbox.methods."):
        if not module.name.endswith(".tests"):
            importlib.import_module(module.name)
