"""Which methods there are, and where their bodies live.

A method is a typed signature with a docstring in `engine/methods/<topic>.py`, decorated with
`@method`. Its body is the function of the same name in `engine/telegram/<topic>.py`, with the
same keywords after a first argument `client`; it is imported at the first call, by the process
that owns the session, so that all others name every method and import no Telethon.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from engine.errors import BadRequest

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_ATTRIBUTE = "__engine_method__"


@dataclass(slots=True)
class Method:
    """A method by its dotted name, "messages.send_message".

    With `connect` False the body's first argument is a `Home` (the session's number and the
    worker's clients) instead of a connected client. With `copied` False the result is handed over
    as it is in this process: for large answers that a body makes for one call, of JSON shapes. A
    `stream` method is a plain `def` that returns an AsyncIterator[bytes]; an `upload` parameter
    takes them.
    """

    name: str
    signature: inspect.Signature
    connect: bool = True
    body: Callable[..., Any] | None = None
    copied: bool = True

    stream: bool = False

    @property
    def upload(self) -> bool:
        return "upload" in self.signature.parameters

    def bound(self) -> Callable[..., Any]:
        """Return the body, importing its module at the first call."""
        if self.body is None:
            topic, _, function = self.name.partition(".")
            module = importlib.import_module(f"engine.telegram.{topic}")
            self.body = getattr(module, function)
        return self.body

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords of a call; TypeError when they do not fit the signature."""
        return dict(self.signature.bind(*args, **kwargs).arguments)


_methods: dict[str, Method] = {}


@overload
def method(function: F, /) -> F: ...


@overload
def method(
    *,
    body: Callable[..., Any] | None = None,
    connect: bool = True,
    copied: bool = True,
    name: str = "",
) -> Callable[[F], F]: ...


def method(
    function: Callable[..., Any] | None = None,
    /,
    *,
    body: Callable[..., Any] | None = None,
    connect: bool = True,
    copied: bool = True,
    name: str = "",
) -> Any:
    """Register a signature as a method: `@method` or `@method(connect=False)`.

    The name is "<module's last part>.<function>" unless `name` gives another; `body` binds a
    function of any place (tests do so). Calling the function itself is refused: it runs where
    the session lives, through `telegram.call(ref, function, ...)`.
    """

    def register(signature: Callable[..., Any]) -> Callable[..., Any]:
        dotted = name or f"{signature.__module__.rpartition('.')[2]}.{signature.__name__}"
        if not _NAME.fullmatch(dotted):
            raise ValueError(f"{dotted!r} is no name for a method")

        @functools.wraps(signature)
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise TypeError(f"call it as telegram.call(ref, {signature.__name__}, ...)")

        entry = Method(
            dotted,
            inspect.signature(signature),
            connect,
            body,
            copied,
            stream=not inspect.iscoroutinefunction(signature),
        )
        _methods[dotted] = entry
        setattr(refuse, _ATTRIBUTE, entry)
        return refuse

    return register if function is None else register(function)


def describe(function: Callable[..., Any]) -> Method:
    """Return the method behind a decorated signature."""
    entry = getattr(function, _ATTRIBUTE, None)
    if not isinstance(entry, Method):
        raise TypeError(f"{function!r} is not decorated with @method")
    return entry


def lookup(name: str) -> Method:
    """Return the method of a dotted name, importing its topic; BadRequest when there is none."""
    if name not in _methods and _NAME.fullmatch(name):
        topic = f"engine.methods.{name.partition('.')[0]}"
        try:
            importlib.import_module(topic)
        except ModuleNotFoundError as error:
            if error.name != topic:
                raise
    try:
        return _methods[name]
    except KeyError:
        raise BadRequest("method_unknown", "There is no such method.") from None


def registered() -> dict[str, Method]:
    """Return every method that was imported so far, by name."""
    return dict(_methods)
