"""The connection of one session, and whose it is."""

from engine.methods.answers import ConnectionDict, ReconnectedDict
from engine.methods.registry import method
from engine.methods.shapes import UserDict


@method(connect=False)
async def connect() -> ConnectionDict:
    """Connect the session's client if it is not; raises Unavailable when Telegram is not there."""


@method(connect=False)
async def disconnect() -> bool:
    """Disconnect the session's client; false when it was not connected."""


@method(connect=False)
async def reconnect() -> ReconnectedDict:
    """Connect the session's client again and ask who it is; leave a living connection alone.

    `user` is null when the session is not logged in.
    """


@method(connect=False)
async def status() -> ConnectionDict:
    """Tell what is known of the client; opens no connection and asks Telegram nothing.

    `authorized` is null while unknown. It stays true after a revocation that Telegram has not
    told us of: ask `get_me` to be sure. Without an open client `dc_id` is 0.
    """


@method
async def get_me() -> UserDict:
    """Return the user that the session is logged in as; always asks Telegram.

    A login whose answer was lost is taken up: updates flow after it as after any other.
    Raises NotAuthorized when the session is not, or no longer, logged in.
    Source: https://core.telegram.org/method/users.getUsers
    """
