"""Cache truth: whatever is asked in whatever order, each message once, asked of Telegram once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from scraper import store
from scraper.tests.rig import Answer, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each message id of the chat under test came in a page of history."""
    seen: Counter[int] = Counter()
    submit = store.submit

    def recording(page: store.Page) -> Any:
        if page.covered is not None and not page.reconcile:
            seen.update(message["message_id"] for message in page.messages)
        return submit(page)

    monkeypatch.setattr(store, "submit", recording)
    return seen


class Model:
    """What Telegram has, told by the sandbox itself."""

    def __init__(self, rig: Any, user: Any, peer: int) -> None:
        self.rig, self.user, self.peer = rig, user, peer

    def ids(self) -> list[int]:
        with self.rig.world.lock:
            return list(self.rig.world.history(self.user.id, self.peer).ids)

    def date(self, message_id: int) -> int:
        with self.rig.world.lock:
            found = self.rig.world.message(self.user.id, self.peer, message_id)
            return int(found.date)


def check(answer: Answer, expected: list[int], descending: bool) -> None:
    assert answer.error is None, answer.error
    assert answer.ids == (expected[::-1] if descending else expected)


def ranges(rig: Any, session: Any, model: Model, rounds: int, seed: int) -> None:
    """Ask for random ranges, leave some streams early, and change the chat in between."""
    chance = random.Random(seed)
    dates = [model.date(message_id) for message_id in model.ids()]
    first, last = dates[0], dates[-1]
    for _ in range(rounds):
        start = chance.choice([None, chance.randint(first - 10, last + 10)])
        end = chance.choice([None, chance.randint(start or first, last + 10)])
        descending = chance.random() < 0.5
        leave = chance.choice([0, 0, chance.randint(1, 200)])
        answer = rig.read(
            session,
            model.peer,
            start=start,
            end=end,
            reverse=not descending,
            chunk_size=chance.choice([1, 7, 100, 1000]),
            leave_after=leave,
        )
        expected = [
            message_id
            for message_id in model.ids()
            if (start is None or model.date(message_id) >= start)
            and (end is None or model.date(message_id) <= end)
        ]
        if leave and answer.end is None:
            whole = expected[::-1] if descending else expected
            assert answer.ids == whole[: len(answer.ids)]
        else:
            check(answer, expected, descending)


def test_random_ranges_of_a_channel(
    rig: Any, fetched: Counter[int], count: Callable[[int, int], int]
) -> None:
    ann = rig.person()
    session = rig.log_in(ann)
    day, begin = 3600, 1_735_689_600
    for seed in range(count(4, 60)):
        fetched.clear()
        rig.sandbox.calls.clear()
        chat = rig.world.add_channel(f"Truth {seed}", ann, date=begin - 1)
        for n in range(900):
            rig.world.post(chat, chat, f"post {n}", date=begin + n * day)
        ranges(rig, session, Model(rig, ann, chat.peer), count(12, 40), seed)
        again = {number: times for number, times in fetched.items() if times > 1}
        # A stream that breaks off leaves pages in flight, which may be asked for again.
        assert all(times <= 4 for times in again.values()), again


def test_each_id_is_asked_for_once(
    rig: Any, fetched: Counter[int], count: Callable[[int, int], int]
) -> None:
    ann = rig.person()
    session = rig.log_in(ann)
    begin, hour = 1_735_689_600, 3600
    for seed in range(count(3, 40)):
        fetched.clear()
        chance = random.Random(seed)
        chat = rig.world.add_channel(f"Once {seed}", ann, date=begin - 1)
        for n in range(1200):
            rig.world.post(chat, chat, f"post {n}", date=begin + n * hour)
        model = Model(rig, ann, chat.peer)
        for _ in range(count(10, 40)):
            low, high = sorted(chance.choices(range(1200), k=2))
            descending = chance.random() < 0.5
            start, end = begin + low * hour, begin + high * hour
            answer = rig.read(session, chat.peer, start=start, end=end, reverse=not descending)
            check(answer, list(range(low + 2, high + 3)), descending)
        check(rig.read(session, chat.peer), model.ids(), False)
        assert set(fetched) == set(model.ids())
        assert max(fetched.values()) == 1, [n for n, times in fetched.items() if times > 1]


def test_random_ranges_of_a_private_chat(
    rig: Any, fetched: Counter[int], count: Callable[[int, int], int]
) -> None:
    ann, eve = rig.person(), rig.person("Eve")
    session = rig.log_in(ann)
    begin, hour = 1_735_689_600, 3600
    chance = random.Random(5)
    for seed in range(count(2, 20)):
        bob = rig.person("Bob")
        for n in range(500):
            rig.world.post(bob, ann, f"post {n}", date=begin + n * hour)
            for _ in range(chance.randint(0, 5)):
                rig.world.post(eve, ann, "noise")
        fetched.clear()
        rig.sandbox.calls.clear()
        model = Model(rig, ann, bob.id)
        ranges(rig, session, model, count(8, 30), seed)
        check(rig.read(session, bob.id), model.ids(), False)
        assert all(times <= 4 for times in fetched.values())


def test_changes_in_between(rig: Any, count: Callable[[int, int], int]) -> None:
    """Pushes, edits and deletions while ranges are read; at the end the cache is the truth."""
    ann = rig.person()
    session = rig.log_in(ann)
    chance = random.Random(3)
    for seed in range(count(2, 30)):
        chat = rig.world.add_channel(f"Moving {seed}", ann)
        for n in range(400):
            rig.world.post(chat, chat, f"post {n}")
        model = Model(rig, ann, chat.peer)
        for _ in range(count(6, 20)):
            for _ in range(chance.randint(1, 5)):
                known = model.ids()
                what = chance.random()
                if what < 0.5:
                    rig.world.post(chat, chat, "pushed")
                elif what < 0.75:
                    rig.world.edit((chat.peer, chance.choice(known)), f"edited {chance.random()}")
                else:
                    rig.world.delete((chat.peer, chance.choice(known[1:])))
            leave = chance.choice([0, chance.randint(1, 100)])
            descending = chance.random() < 0.5
            answer = rig.read(session, chat.peer, reverse=not descending, leave_after=leave)
            ids = answer.ids if not descending else answer.ids[::-1]
            assert ids == sorted(set(ids))

        def current(chat: Any = chat, model: Model = model) -> bool:
            answer = rig.read(session, chat.peer)
            with rig.world.lock:
                texts = [m.text for m in rig.world.history(ann.id, chat.peer)]
            return answer.ids == model.ids() and [m["message"] for m in answer.messages] == texts

        rig.wait_until(current)


def test_overlapping_cold_streams_cost_one_fetch(rig: Any, fetched: Counter[int]) -> None:
    ann, bob = rig.person(), rig.person("Bob")
    chat = rig.world.add_channel("News", ann, [bob])
    for n in range(2000):
        rig.world.post(chat, chat, f"post {n}")
    a, b = rig.log_in(ann, "a"), rig.log_in(bob, "b", "bob")
    rig.sandbox.faults.latency(0.02, method="messages.getHistory")

    async def both() -> list[Answer]:
        return list(
            await asyncio.gather(
                rig.aread(a, chat.peer),
                rig.aread(b, chat.peer),
                rig.aread(a, chat.peer, reverse=False),
            )
        )

    first, second, third = run(both())
    assert first.ids == second.ids == third.ids[::-1] == list(range(1, 2002))
    assert max(fetched.values()) == 1
    assert len(rig.pages()) <= 22


def test_a_sparse_channel_costs_few_calls(rig: Any, fetched: Counter[int]) -> None:
    """Most of its messages were deleted: windows of ids grow with what is left."""
    ann = rig.person()
    chat = rig.world.add_channel("Remains", ann)
    for n in range(6000):
        rig.world.post(chat, chat, f"post {n}")
    rig.world.delete(*[(chat.peer, n) for n in range(2, 6001) if n % 20])
    session = rig.log_in(ann)
    model = Model(rig, ann, chat.peer)
    check(rig.read(session, chat.peer), model.ids(), False)
    assert len(rig.pages()) <= 2 * len(model.ids()) / 100 + 4
    assert max(fetched.values()) == 1


def test_refreshing_reconciles_what_no_update_told(rig: Any) -> None:
    ann, bob = rig.person(), rig.person("Bob")
    chat = rig.world.add_channel("Public", bob, username="public_news")
    for n in range(250):
        rig.world.post(chat, chat, f"post {n}")
    session = rig.log_in(ann)  # no member: Telegram pushes nothing
    assert len(rig.read(session, "@public_news").ids) == 251
    rig.world.delete((chat.peer, 100))
    rig.world.edit((chat.peer, 101), "edited")
    stale = rig.read(session, chat.peer)
    assert 100 in stale.ids
    fresh = rig.read(session, chat.peer, force_refresh=True)
    assert fresh.ids == [n for n in range(1, 252) if n != 100]
    assert fresh.messages[99]["message"] == "edited"
    assert fresh.end["from_telegram"] == 250
    assert rig.read(session, chat.peer).ids == fresh.ids
