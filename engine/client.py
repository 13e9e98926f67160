"""Telethon's client as the hub needs it: paced, fenced, ingesting, never skipping.

`HubClient` subclasses, it patches nothing. What it changes, and why, stands at each method.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from telethon import TelegramClient, errors, functions, types, utils
from telethon.tl.alltlobjects import LAYER
from telethon.tl.tlobject import TLRequest
from telethon.tl.types import updates as updates_types

from engine.client_errors import translate
from engine.errors import EngineError, FloodWait
from engine.floods import Floods, SessionKey
from engine.ingest import Ingest
from engine.ingest_box import Box, Unit, claim_of, unit_of
from engine.link import Sender, proxy_argument, transport
from engine.sessions import HubSession
from engine.store import Device, Proxy
from engine.timing import NORMAL, Queue, Timing

logger = logging.getLogger(__name__)
telethon_logger = logging.getLogger("telethon")

CONNECT_TRIES = 2
"""Tries after the first; also covers Telethon's failed handshake for keys with leading zeros."""

REQUEST_TRIES = 2
"""Tries after the first, for server errors and for each change of data centre."""


async def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a client is connected to. `ingest` is None for a session without updates."""

    key: SessionKey
    floods: Floods
    check: Callable[[], None]
    turns: Queue
    timing: Timing = NORMAL
    ingest: Ingest | None = None
    on_key: Callable[[HubSession], Awaitable[None]] = _nothing
    on_login: Callable[[int], Awaitable[None]] = _nothing
    on_error: Callable[[Exception], None] = lambda error: None
    on_return: Callable[[], None] = lambda: None


class HubClient(TelegramClient):
    """One session's connection to Telegram."""

    def __init__(
        self,
        session: HubSession,
        *,
        api_id: int,
        api_hash: str,
        wiring: Wiring,
        device: Device | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.device = device
        device = device or Device()
        super().__init__(
            session,
            api_id,
            api_hash,
            connection=transport(proxy, wiring.check),
            proxy=proxy_argument(proxy),
            timeout=wiring.timing.connect,
            request_retries=REQUEST_TRIES,
            connection_retries=CONNECT_TRIES,
            retry_delay=wiring.timing.backoff_first,
            auto_reconnect=True,
            sequential_updates=True,
            catch_up=True,
            flood_sleep_threshold=0,
            raise_last_call_error=True,
            receive_updates=wiring.ingest is not None,
            device_model=device.device_model,
            system_version=device.system_version,
            app_version=device.app_version,
            lang_code=device.lang_code,
            system_lang_code=device.system_lang_code,
            base_logger=telethon_logger,
        )
        self.wiring = wiring
        self._authorized: bool | None = None
        self._message_box = Box(self._log["messagebox"])
        self._sender = Sender(
            self.session.auth_key,
            turns=wiring.turns,
            pause=wiring.timing.backoff_first,
            loggers=self._log,
            retries=self._connection_retries,
            delay=self._retry_delay,
            auto_reconnect=self._auto_reconnect,
            connect_timeout=self._timeout,
            auth_key_callback=self._auth_key_callback,
            updates_queue=self._updates_queue,
            auto_reconnect_callback=self._handle_auto_reconnect,
        )
        self._servers: Any = None
        self._later: set[asyncio.TimerHandle] = set()
        self._switching: asyncio.Future[None] | None = None
        self.logged_out = False

    # What a supervisor asks.

    @property
    def up(self) -> bool:
        """Whether the transport stands; requests wait while it is being renewed."""
        return self.switching or (bool(self.is_connected()) and self._sender.up)

    @property
    def authorized(self) -> bool | None:
        """Whether this session is logged in as far as is known; None while unknown."""
        return self._authorized

    @property
    def pts(self) -> int | None:
        """How far the account's updates came in; None before login."""
        return self._message_box.account_pts

    @property
    def fault(self) -> BaseException | None:
        """Return why updates stopped though the connection stands, None when they run."""
        if self.switching:
            return None
        if self._updates_error is not None:
            return self._updates_error
        loop = self._updates_handle
        if loop is not None and loop.done() and not loop.cancelled():
            return loop.exception() or ConnectionError("The update loop ended.")
        return None

    @property
    def account_state(self) -> dict[str, Any]:
        """Return the account's pts, qts, date and seq as the message box has them."""
        state, _ = self._message_box.session_state()
        return dict(state)

    @property
    def ended(self) -> asyncio.Future[None]:
        """Return the future that is done when this connection has ended for good."""
        ended: asyncio.Future[None] = self._sender._disconnected
        return ended

    @property
    def switching(self) -> bool:
        """Whether the client is moving to another data centre."""
        return self._switching is not None

    async def switched(self) -> None:
        """Return when the move to another data centre is over, well or not."""
        if self._switching is not None:
            await asyncio.wait({self._switching})

    def renew(self) -> None:
        """Replace the transport; what is under way goes over the new one."""
        self._sender.renew()

    # Connecting.

    async def connect(self) -> None:
        """Connect, in a context of its own: what starts here outlives the call that asked.

        Raises what Telethon raises; nothing is left open then.
        """
        task = asyncio.create_task(super().connect(), context=contextvars.Context())
        try:
            await task
        except BaseException:
            task.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await task
            with contextlib.suppress(Exception):
                await self._sender.disconnect()
            raise

    async def disconnect(self) -> None:
        """Disconnect; callers that wait for answers get ConnectionError."""
        for handle in self._later:
            handle.cancel()
        self._later.clear()
        await super().disconnect()

    async def greet(self) -> Any:
        """Introduce ourselves and return `updates.State`; updates flow after it.

        A new connection needs no `initConnection`, yet a restarted server may have forgotten.
        Raises UnauthorizedError when the session is not logged in.
        Source: https://core.telegram.org/method/initConnection
        """
        hello = copy.copy(self._init_request)
        hello.query = functions.updates.GetStateRequest()
        request = functions.InvokeWithLayerRequest(LAYER, hello)
        if self._no_updates:
            request = functions.InvokeWithoutUpdatesRequest(request)
        state = await self._call(self._sender, request)
        self._authorized = True
        return state

    async def state(self) -> Any:
        """Return Telegram's `updates.State` of the account."""
        return await self(functions.updates.GetStateRequest())

    async def switch_dc(self, dc_id: int) -> None:
        """Move an unauthorised session to another data centre, with a new key."""
        await self._switch_dc(dc_id)

    async def _switch_dc(self, new_dc: int) -> None:
        # The old connection ends on purpose: nobody is to take that for a failure.
        self._switching = asyncio.get_running_loop().create_future()
        try:
            await super()._switch_dc(new_dc)
        finally:
            switching, self._switching = self._switching, None
            switching.set_result(None)

    async def _auth_key_callback(self, auth_key: Any) -> None:
        # A key that was used and not stored is a session that nobody can end.
        self.session.auth_key = auth_key
        await self.wiring.on_key(self.session)

    async def _on_login(self, user: Any) -> Any:
        self.session.account_id = user.id
        try:
            if self._no_updates:
                self._mb_entity_cache.set_self_user(user.id, user.bot, user.access_hash)
                self._authorized = True
            else:
                await super()._on_login(user)
            await self.wiring.on_login(user.id)
        except BaseException:
            # Telethon believes it too early; the next `get_me` is to take the login up.
            self._authorized = None
            raise
        return user

    async def _handle_auto_reconnect(self) -> None:
        # Telethon only calls get_me here: what was missed would stay missing.
        try:
            if self._message_box.is_empty():
                await self.get_me()
                return
            await self.greet()
            self.ask_difference()
            self.wiring.on_return()
        except Exception as error:
            logger.info("Greeting after a reconnect failed: %s", type(error).__name__)
            self.wiring.on_error(error)

    async def _get_dc(self, dc_id: int, cdn: bool = False) -> Any:
        # Telethon keeps one configuration per class; clients of other servers share ours.
        if self._servers is None:
            self._servers = await self(functions.help.GetConfigRequest())
        fitting = [
            dc
            for dc in self._servers.dc_options
            if dc.id == dc_id and bool(dc.cdn) == cdn and not dc.media_only and not dc.tcpo_only
        ]
        if not fitting:
            raise ConnectionError(f"Telegram names no data centre {dc_id}")
        return min(fitting, key=lambda dc: bool(dc.ipv6) != self._use_ipv6)

    # Requests.

    async def _call(
        self,
        sender: Any,
        request: Any,
        ordered: bool = False,
        flood_sleep_threshold: int | None = None,
    ) -> Any:
        if isinstance(
            request,
            functions.updates.GetDifferenceRequest | functions.updates.GetChannelDifferenceRequest,
        ):
            return await self._difference(sender, request)
        self.wiring.check()
        if utils.is_list_like(request):
            request = list(request)
            for name in {request_name(one) for one in request}:
                await self.wiring.floods.before(self.wiring.key, name)
            results = await self._ask(sender, request, ordered)
            for one, result in zip(request, results, strict=True):
                self._notice(one, result)
            return results

        async def send() -> Any:
            try:
                return await self._ask(sender, request)
            except errors.RPCError as error:
                flood = translate(error, request_name(request))
                if isinstance(flood, FloodWait) and flood.argument is not None:
                    raise flood from None
                raise

        result = await self.wiring.floods.paced(
            self.wiring.key, request_name(request), send, chat_id=_written_chat(request)
        )
        self._notice(request, result)
        return result

    async def _ask(self, sender: Any, request: Any, ordered: bool = False) -> Any:
        try:
            return await super()._call(sender, request, ordered=ordered)
        except asyncio.CancelledError:
            if isinstance(sender, Sender):
                sender.drop_cancelled()
            raise
        except Exception as error:
            self.wiring.on_error(error)
            raise

    def _notice(self, request: Any, result: Any) -> None:
        """Learn from an answer what Telethon's box and loop would not tell."""
        if isinstance(result, types.messages.Dialogs | types.messages.DialogsSlice):
            self._learn_dialogs(result)
        elif isinstance(request, functions.auth.LogOutRequest):
            self.logged_out = True
            self._authorized = False
        elif claim := claim_of(request, result, self._self_id):
            self._message_box.claim(result.pts, result.pts_count, claim)

    def _learn_dialogs(self, dialogs: Any) -> None:
        # Telethon ignores updates of channels whose pts it does not know.
        self._mb_entity_cache.extend(dialogs.users, dialogs.chats)
        for dialog in dialogs.dialogs:
            if isinstance(dialog.peer, types.PeerChannel) and getattr(dialog, "pts", None):
                channel_id = dialog.peer.channel_id
                self._message_box.try_set_channel_state(channel_id, dialog.pts)
                if self.wiring.ingest is not None:
                    self.wiring.ingest.know(channel_id, dialog.pts, dialog.top_message)

    # Updates.

    async def _difference(self, sender: Any, request: Any) -> Any:
        """Ask for a difference; one that cannot be had is too long, one that fails comes later.

        Telethon's loop drops a difference that fails, until the next gap or 15 quiet minutes.
        """
        name = request_name(request)
        try:
            self.wiring.check()
        except EngineError as error:
            # Telethon's loop waits and asks again after an OSError, and dies of strange ones.
            raise ConnectionError(error.code) from None
        try:
            seconds = self.wiring.floods.remaining(self.wiring.key, name)
            if seconds > 0:
                raise errors.FloodWaitError(request, capture=round(seconds) + 1)
            return await self._ask(sender, request)
        except (
            errors.PersistentTimestampInvalidError,
            errors.PersistentTimestampEmptyError,
            errors.TypeNotFoundError,
        ) as error:
            logger.warning("%s failed, reading history instead: %s", name, type(error).__name__)
            return await self._too_long(request)
        except errors.FloodWaitError as error:
            await self.wiring.floods.learned(self.wiring.key, name, error.seconds)
            self._ask_later(request, error.seconds)
            raise
        except (errors.UnauthorizedError, errors.AuthKeyError, errors.ChannelPrivateError):
            raise
        except (errors.RPCError, ValueError):
            self._ask_later(request, self.wiring.timing.retry_difference)
            raise

    async def _too_long(self, request: Any) -> Any:
        """Return the answer that makes the box skip; ingest then reads the history."""
        if isinstance(request, functions.updates.GetDifferenceRequest):
            state = await self.state()
            return updates_types.DifferenceTooLong(pts=state.pts)
        channel = types.InputPeerChannel(request.channel.channel_id, request.channel.access_hash)
        found = await self(
            functions.messages.GetPeerDialogsRequest([types.InputDialogPeer(channel)])
        )
        return updates_types.ChannelDifferenceTooLong(
            dialog=found.dialogs[0],
            messages=found.messages,
            chats=found.chats,
            users=found.users,
            final=True,
        )

    def _ask_later(self, request: Any, seconds: float) -> None:
        channel = getattr(request, "channel", None)
        channel_id = channel.channel_id if channel is not None else None
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        self._later = {handle for handle in self._later if handle.when() > loop.time()}
        self._later.add(loop.call_at(due, self.ask_difference, channel_id))

    def ask_difference(self, channel_id: int | None = None) -> None:
        """Make the update loop ask Telegram what is new in a channel, or in the account."""
        if channel_id is None:
            self._updates_queue.put_nowait(types.UpdatesTooLong())
        else:
            update = types.UpdateChannelTooLong(channel_id=channel_id)
            self._updates_queue.put_nowait(types.UpdateShort(update, datetime.now(UTC)))

    async def _dispatch_update(self, update: Any) -> None:
        # Called in order, one after another; waits while the sink is behind.
        unit = update if isinstance(update, Unit) else unit_of(update)
        if self.wiring.ingest is not None:
            box, _ = self._message_box.session_state()
            await self.wiring.ingest.put(unit, box)
        if not self._event_builders:
            return
        for one in unit.updates:
            one._entities = unit.entities
            await super()._dispatch_update(one)


def request_name(request: Any) -> str:
    """Return Telegram's name of a request: `messages.getHistory`."""
    while isinstance(query := getattr(request, "query", None), TLRequest):
        request = query
    # Requests of our own go by the name of Telethon's that they extend.
    kind = next(each for each in type(request).__mro__ if each.__module__.startswith("telethon."))
    topic = kind.__module__.rpartition(".")[2]
    name = kind.__name__.removesuffix("Request")
    name = name[:1].lower() + name[1:]
    return name if topic == "functions" else f"{topic}.{name}"


def _written_chat(request: Any) -> int | None:
    """Return the marked id of the chat that a request writes into, for its slow mode."""
    if isinstance(
        request,
        functions.messages.SendMessageRequest
        | functions.messages.SendMediaRequest
        | functions.messages.SendMultiMediaRequest,
    ):
        peer = request.peer
    elif isinstance(request, functions.messages.ForwardMessagesRequest):
        peer = request.to_peer
    else:
        return None
    try:
        return int(utils.get_peer_id(peer))
    except (TypeError, AttributeError):
        return None
