"""No call before its deadline; who may wait, waits."""

import pytest

from engine.errors import FloodWait
from engine.floods import HOUSEKEEPING, CallContext, Floods, current_call, enter_call


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 1_000_000.0, []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def saved():
    return []


@pytest.fixture
def floods(clock, saved):
    async def save(*row):
        saved.append(row)

    return Floods(save, now=clock, sleep=clock.sleep)


def interactive(deadline=None):
    enter_call(CallContext("c", "messages.send_message", "raise", False, deadline))


def waiting(deadline=None):
    enter_call(CallContext("c", "history.read_page", "wait", True, deadline))


async def test_it_works(floods):
    interactive()
    await floods.before(1, "messages.search")
    await floods.learned(1, "messages.search", 30)
    with pytest.raises(FloodWait) as caught:
        await floods.before(1, "messages.search")
    assert caught.value.seconds == 30
    assert caught.value.code == "flood_wait"


async def test_it_tells_what_remains(floods, clock):
    interactive()
    await floods.learned(1, "messages.search", 30)
    clock.now += 20.5
    with pytest.raises(FloodWait) as caught:
        await floods.before(1, "messages.search")
    assert caught.value.seconds == 10
    clock.now += 9.5
    await floods.before(1, "messages.search")


async def test_it_is_per_session_and_request(floods):
    interactive()
    await floods.learned(1, "messages.search", 30)
    await floods.before(2, "messages.search")
    await floods.before(1, "messages.getHistory")


async def test_it_waits_when_the_call_does(floods, clock):
    waiting()
    await floods.learned(1, "messages.getHistory", 30)
    await floods.before(1, "messages.getHistory")
    assert clock.slept == [30]


async def test_it_does_not_wait_beyond_the_deadline(floods, clock):
    waiting(deadline=clock.now + 20)
    await floods.learned(1, "messages.getHistory", 30)
    with pytest.raises(FloodWait) as caught:
        await floods.before(1, "messages.getHistory")
    assert caught.value.seconds == 30
    assert clock.slept == []


async def test_housekeeping_waits(floods, clock):
    assert current_call() is HOUSEKEEPING
    await floods.learned(1, "updates.getDifference", 5)
    await floods.before(1, "updates.getDifference")
    assert clock.slept == [5]


async def test_it_is_stored(floods, saved, clock):
    await floods.learned(1, "messages.search", 30)
    await floods.learned(1, "messages.search", 10)  # a shorter one never shortens it
    await floods.learned("fingerprint", "messages.search", 30)
    assert saved == [(1, "messages.search", clock.now + 30)] * 2


async def test_it_survives_a_restart(floods, saved, clock):
    await floods.learned(1, "messages.search", 30)
    again = Floods(now=clock, sleep=clock.sleep)
    again.load(1, {name: until for _, name, until in saved} | {"old": clock.now - 1})
    interactive()
    with pytest.raises(FloodWait):
        await again.before(1, "messages.search")
    await again.before(1, "old")


async def test_what_cannot_be_stored_still_holds(clock, caplog):
    async def save(*row):
        raise OSError("disk full")

    floods = Floods(save, now=clock, sleep=clock.sleep)
    interactive()
    await floods.learned(1, "messages.search", 30)
    with pytest.raises(FloodWait):
        await floods.before(1, "messages.search")
    assert "was not stored" in caplog.text


async def test_slow_mode_is_per_chat(floods):
    interactive()
    await floods.learned(1, "messages.sendMessage", 30, chat_id=-100)
    with pytest.raises(FloodWait) as caught:
        await floods.before(1, "messages.sendMedia", chat_id=-100)
    assert caught.value.code == "slowmode_wait"
    await floods.before(1, "messages.sendMessage", chat_id=-200)
    await floods.before(1, "messages.getHistory")


async def test_it_forgets_a_session_but_no_running_pause(floods, clock):
    interactive()
    await floods.learned("fingerprint", "messages.search", 30)
    await floods.learned("fingerprint", "messages.getHistory", 5)
    clock.now += 10
    floods.forget("fingerprint")
    assert floods._until == {"fingerprint": {"messages.search": clock.now + 20}}
    clock.now += 20
    floods.forget("fingerprint")
    assert floods._until == {}


class Telegram:
    """Answers a few times with a flood, then with a result."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "result"


def flood(seconds, code="flood_wait"):
    return FloodWait(code, seconds=seconds, argument=seconds)


async def test_paced_raises_at_once_and_asks_no_more(floods):
    interactive()
    telegram = Telegram(flood(30))
    for _ in range(3):
        with pytest.raises(FloodWait):
            await floods.paced(1, "messages.search", telegram)
    assert telegram.calls == 1


async def test_paced_resumes_after_each_pause(floods, clock):
    waiting()
    telegram = Telegram(flood(30), flood(7, "flood_premium_wait"))
    assert await floods.paced(1, "upload.getFile", telegram) == "result"
    assert (telegram.calls, clock.slept) == (3, [30, 7])


async def test_paced_keeps_slow_mode_to_its_chat(floods):
    interactive()
    telegram = Telegram(flood(30, "slowmode_wait"))
    with pytest.raises(FloodWait):
        await floods.paced(1, "messages.sendMessage", telegram, chat_id=-100)
    assert await floods.paced(1, "messages.sendMessage", telegram, chat_id=-200) == "result"
    with pytest.raises(FloodWait):
        await floods.paced(1, "messages.sendMessage", telegram, chat_id=-100)
    assert telegram.calls == 2


async def test_paced_does_not_guess_a_pause(floods):
    waiting()
    telegram = Telegram(FloodWait("phone_password_flood", seconds=3600))
    with pytest.raises(FloodWait):
        await floods.paced(1, "auth.signIn", telegram)
    assert floods.remaining(1, "auth.signIn") == 0
