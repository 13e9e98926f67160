"""Faults on demand: what networks and Telegram do to a client on a bad day.

Every verb takes plain JSON values, so that `sandbox/control.py` offers the same ones.
Patterns of methods are Telegram's names with wildcards: `messages.getHistory`, `upload.*`, `*`.
"""

from __future__ import annotations

import math
import random
import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from sandbox.rpc import RpcError

if TYPE_CHECKING:
    from sandbox.server import DataCentres

Drop = Literal["", "before", "after", "answer"]
DuplicateMode = Literal["", "ip", "connection"]


@dataclass(slots=True)
class Verdict:
    """What befalls one call.

    `drop`: "before" closes the connection instead of serving, "after" serves and closes
    before the answer leaves, "answer" serves and stays silent.
    """

    delay_seconds: float = 0
    error: RpcError | None = None
    drop: Drop = ""


@dataclass(slots=True)
class _Rule:
    method: str
    user_id: int | None
    dc: int | None
    times: int | None = None  # None: until cleared
    delay_seconds: float = 0
    jitter_seconds: float = 0
    error: tuple[int, str] | None = None
    flood_seconds: int = 0
    until: float | None = None  # of a flood: set by its first hit
    drop: Drop = ""

    def matches(self, method: str, user_id: int | None, dc: int) -> bool:
        return (
            self.user_id in (None, user_id)
            and self.dc in (None, dc)
            and fnmatchcase(method, self.method)
        )


@dataclass(slots=True)
class _UpdateRule:
    user_id: int | None
    lost: float
    duplicated: float
    reordered: float


class Faults:
    """The faults in force; safe from any thread. `clear()` ends them all."""

    def __init__(self, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._server: DataCentres | None = None
        self._reset(seed)

    def _reset(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._rules: list[_Rule] = []
        self._updates: list[_UpdateRule] = []
        self._handshakes: list[str] = []
        self._transport_errors: list[int] = []
        self._half_dead = 0
        self._refused: dict[int | None, int | None] = {}
        self._duplicates: DuplicateMode = ""

    def attach(self, server: DataCentres) -> None:
        """Connect the verbs that act on live connections."""
        self._server = server

    def clear(self) -> None:
        """End every fault; silent connections stay silent until they are dropped."""
        with self._lock:
            self._reset(1)

    # Calls

    def latency(
        self,
        seconds: float,
        *,
        jitter_seconds: float = 0,
        method: str = "*",
        user_id: int | None = None,
        dc: int | None = None,
        times: int | None = None,
    ) -> None:
        """Serve calls `seconds` later, give or take up to `jitter_seconds` more."""
        self._add(
            _Rule(method, user_id, dc, times, delay_seconds=seconds, jitter_seconds=jitter_seconds)
        )

    def flood(
        self,
        method: str,
        seconds: int,
        *,
        user_id: int | None = None,
        dc: int | None = None,
        times: int | None = None,
    ) -> None:
        """Answer 420 `FLOOD_WAIT_n`.

        Without `times` the wait begins with the first call and counts down, and ends
        after `seconds`; with `times` the next calls get `FLOOD_WAIT_<seconds>`.
        Source: https://core.telegram.org/api/errors#420-flood
        """
        if times is None:
            self._add(_Rule(method, user_id, dc, flood_seconds=seconds))
        else:
            self.fail(method, 420, f"FLOOD_WAIT_{seconds}", times=times, user_id=user_id, dc=dc)

    def fail(
        self,
        method: str,
        code: int,
        message: str,
        *,
        times: int | None = 1,
        user_id: int | None = None,
        dc: int | None = None,
    ) -> None:
        """Answer the next `times` calls (None: all) with an RPC error."""
        self._add(_Rule(method, user_id, dc, times, error=(code, message)))

    def drop(
        self,
        method: str = "*",
        *,
        when: Drop = "before",
        times: int | None = 1,
        user_id: int | None = None,
        dc: int | None = None,
    ) -> None:
        """Lose the next `times` calls: see `Verdict.drop` for `when`."""
        self._add(_Rule(method, user_id, dc, times, drop=when))

    def verdict(self, method: str, user_id: int | None, dc: int) -> Verdict:
        """Return what befalls a call, and use up the rules that it meets."""
        verdict = Verdict()
        if not self._rules:
            return verdict
        with self._lock:
            for rule in self._rules:
                if rule.matches(method, user_id, dc) and verdict.error is None:
                    self._apply(rule, verdict)
            self._rules = [rule for rule in self._rules if rule.times is None or rule.times > 0]
        return verdict

    def _apply(self, rule: _Rule, verdict: Verdict) -> None:
        if rule.times is not None:
            rule.times -= 1
        verdict.delay_seconds += rule.delay_seconds
        if rule.jitter_seconds:
            verdict.delay_seconds += self._random.uniform(0, rule.jitter_seconds)
        if rule.drop:
            verdict.drop = rule.drop
        if rule.error:
            verdict.error = RpcError(*rule.error)
        if rule.flood_seconds:
            now = time.time()
            if rule.until is None:
                rule.until = now + rule.flood_seconds
            left = math.ceil(rule.until - now)
            if left > 0:
                verdict.error = RpcError(420, f"FLOOD_WAIT_{left}")
            else:
                rule.times = 0

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    # Updates

    def updates(
        self,
        *,
        lost: float = 0,
        duplicated: float = 0,
        reordered: float = 0,
        seed: int | None = None,
        user_id: int | None = None,
    ) -> None:
        """Lose, repeat or delay pushed updates with these probabilities (0 to 1)."""
        with self._lock:
            if seed is not None:
                self._random = random.Random(seed)
            self._updates = [rule for rule in self._updates if rule.user_id != user_id]
            self._updates.append(_UpdateRule(user_id, lost, duplicated, reordered))

    def update_fate(self, user_id: int) -> Literal["", "lost", "duplicated", "reordered"]:
        """Return what befalls one update on its way to one connection."""
        if not self._updates:
            return ""
        with self._lock:
            for rule in self._updates:
                if rule.user_id in (None, user_id):
                    dice = self._random.random()
                    if dice < rule.lost:
                        return "lost"
                    if dice < rule.lost + rule.duplicated:
                        return "duplicated"
                    if dice < rule.lost + rule.duplicated + rule.reordered:
                        return "reordered"
        return ""

    # Connections

    def refuse(self, *, dc: int | None = None, times: int | None = None) -> None:
        """Close the next `times` new connections (None: all) as soon as they come."""
        with self._lock:
            self._refused[dc] = times

    def accept(self, *, dc: int | None = None) -> None:
        """End `refuse`."""
        with self._lock:
            self._refused.pop(dc, None)

    def half_dead(self, connections: int = 1) -> None:
        """Accept the next connections and stay silent on them."""
        with self._lock:
            self._half_dead += connections

    def silence(self, *, user_id: int | None = None, dc: int | None = None) -> None:
        """Make the present connections (of a user, of a DC) half-dead."""
        self._running().for_connections(user_id, dc, lambda c: setattr(c, "silent", True))

    def drop_connections(self, *, user_id: int | None = None, dc: int | None = None) -> None:
        """Cut the present connections (of a user, of a DC)."""
        self._running().for_connections(user_id, dc, lambda c: c.close())

    def on_connect(self, dc: int) -> Literal["", "refused", "silent"]:
        """Return what befalls a new connection."""
        with self._lock:
            for scope in (None, dc):
                if scope in self._refused:
                    times = self._refused[scope]
                    if times is not None:
                        self._refused[scope] = times - 1
                        if times <= 1:
                            del self._refused[scope]
                        if times <= 0:
                            continue
                    return "refused"
            if self._half_dead > 0:
                self._half_dead -= 1
                return "silent"
        return ""

    def transport_error(self, code: int, times: int = 1) -> None:
        """Answer the next encrypted packets with a transport error: 429 (flood), 404, 444.

        Source: https://core.telegram.org/mtproto/mtproto-transports#transport-errors
        """
        with self._lock:
            self._transport_errors += [code] * times

    def packet_fault(self) -> int:
        """Return the transport error that befalls one packet, or 0."""
        if not self._transport_errors:
            return 0
        with self._lock:
            return self._transport_errors.pop(0) if self._transport_errors else 0

    def handshake(self, outcome: Literal["retry", "fail"], times: int = 1) -> None:
        """End the next key exchanges with `dh_gen_retry` or `dh_gen_fail`."""
        with self._lock:
            self._handshakes += [outcome] * times

    def handshake_fault(self) -> str:
        with self._lock:
            return self._handshakes.pop(0) if self._handshakes else ""

    # Keys

    def rotate_salts(self) -> None:
        """Make every client's salt invalid: its next message gets `bad_server_salt`."""
        server = self._running()
        server.run(server.rotate_salts)

    def revoke(
        self,
        *,
        user_id: int | None = None,
        auth_key_id: int | None = None,
        error: str = "AUTH_KEY_UNREGISTERED",
    ) -> int:
        """End the authorisations of a user or of one key; return how many.

        Their calls answer 401 `error` from now on: `AUTH_KEY_UNREGISTERED`,
        `SESSION_REVOKED`, `USER_DEACTIVATED`, ...
        Source: https://core.telegram.org/api/errors#401-unauthorized
        """
        server = self._running()
        return server.run(lambda: server.revoke(user_id, auth_key_id, error))

    def forget(self, *, user_id: int | None = None, auth_key_id: int | None = None) -> int:
        """Forget the keys of a user, or one key: packets get transport error 404.

        Return how many there were.
        """
        server = self._running()
        return server.run(lambda: server.forget(user_id, auth_key_id))

    def duplicated_keys(self, mode: DuplicateMode = "ip") -> None:
        """Kill a key that two sessions use at the same time: 406 `AUTH_KEY_DUPLICATED`.

        "ip": from two addresses; "connection": over two connections; "": never.
        Source: https://core.telegram.org/api/errors#406-not-acceptable
        """
        with self._lock:
            self._duplicates = mode

    @property
    def duplicates(self) -> DuplicateMode:
        return self._duplicates

    def _running(self) -> DataCentres:
        if self._server is None:
            raise RuntimeError("the sandbox is not running")
        return self._server
