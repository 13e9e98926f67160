"""Readers, accounts and updates that meet in one chat, and clients that leave meanwhile."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from core.writer import writer
from engine import methods, telegram
from engine.store import EngineEvent, UpdateBatch
from sandbox.world.blobs import Blob
from scraper import coverage, download, ends, fill, grants, history, job_runner, jobs, loop, media
from scraper import store as cache
from scraper.handlers import handle_updates
from scraper.models import Chat, Coverage, Media
from scraper.pace import pace_of
from scraper.parts import PartFile
from scraper.tests.rig import on_loop, run
from scraper.tests.test_history import channel
from scraper.tests.test_isolation import make_message
from sessions_app.models import TelegramSession
from sessions_app.tests.helpers import make_user

pytestmark = pytest.mark.django_db(transaction=True)

BEGIN = 1_735_689_600
HOUR = 3600


# Accounts


def test_the_next_account_of_a_session_writes_nothing_of_the_former(rig: Any) -> None:
    ann, bob, eve = rig.person("Ann"), rig.person("Bob"), rig.person("Eve")
    for number in range(3):
        rig.world.post(eve, ann, f"for ann {number}")
        rig.world.post(eve, bob, f"for bob {number}")
    one, two = rig.log_in(ann, "one"), rig.log_in(ann, "two")
    chat, _ = on_loop(grants.open_chat(one, str(eve.id)))
    pace_of(one.pk).flooded(600)
    waiting = on_loop(fill.demand(one, chat, 1, 1000, max_wait=1e9))
    telegram.call(one.pk, methods.auth.log_out)
    TelegramSession.objects.filter(pk=one.pk).update(state="expired")
    assert rig.log_in(bob, "one").pk == one.pk
    pace_of(one.pk).flood_until = 0.0
    loop.start().call_soon_threadsafe(waiting.fill.wake)
    with pytest.raises(Exception, match="logged out"):
        loop.submit(asyncio.wait_for(waiting.reach(1), 20)).result(30)
    texts = [message["message"] for message in rig.read(two, eve.id).messages]
    assert texts == ["for ann 0", "for ann 1", "for ann 2"]


def test_who_may_not_see_the_past_does_not_date_it(rig: Any) -> None:
    ann, bob = rig.person("Ann"), rig.person("Bob")
    facts = {"megagroup": True, "hidden_prehistory": True, "date": BEGIN - 1}
    chat = rig.world.add_channel("Club", ann, **facts)
    for number in range(150):
        rig.world.post(ann, chat, f"before {number}", date=BEGIN + number * HOUR)
    first = rig.log_in(ann, "a")
    assert rig.read(first, chat.peer, start=BEGIN, end=BEGIN + 20 * HOUR).ids == [*range(2, 23)]
    rig.world.join(bob, chat)
    second = rig.log_in(bob, "b", "bob")
    end = BEGIN + 100 * HOUR
    assert rig.read(second, chat.peer, start=BEGIN, end=end).ids == []
    assert rig.read(first, chat.peer, start=BEGIN, end=end).ids == [*range(2, 103)]


def test_a_chat_of_which_nothing_is_to_be_seen_yet(rig: Any, monkeypatch: Any) -> None:
    from sessions_app import sink

    ann, bob = rig.person("Ann"), rig.person("Bob")
    chat = rig.world.add_channel("Club", ann, megagroup=True, hidden_prehistory=True)
    for number in range(30):
        rig.world.post(ann, chat, f"before {number}")
    rig.world.join(bob, chat)
    with rig.world.lock:
        rig.world.chat(chat.peer).members[bob.id].available_min_id = 32
    session = rig.log_in(bob, "b", "bob")
    # As long as its updates are not followed.
    monkeypatch.setattr(coverage, "may_open", lambda *given: False)
    monkeypatch.setattr(sink, "_handlers", [])
    assert rig.read(session, chat.peer).ids == []
    assert not Coverage.objects.exists()
    rig.world.post(ann, chat, "thirty-three")
    rig.world.post(ann, chat, "thirty-four")
    assert rig.read(session, chat.peer).ids == [33, 34]


def test_a_refusal_is_one_accounts_own(rig: Any) -> None:
    ann, bob = rig.person("Ann"), rig.person("Bob")
    chat = rig.world.add_channel("Team", ann, [bob], megagroup=True)
    for number in range(10):
        rig.world.post(ann, chat, f"post {number}")
    first, second = rig.log_in(ann, "a"), rig.log_in(bob, "b", "bob")
    granted = [on_loop(grants.open_chat(each, str(chat.peer))) for each in (first, second)]
    rig.sandbox.faults.latency(0.3, method="messages.getHistory")
    rig.world.kick(chat, bob, by=ann)

    async def both() -> list[Any]:
        mine = await ends.make_source(first, *granted[0], 60)
        theirs = await ends.make_source(second, *granted[1], 60)
        asking = asyncio.create_task(ends.newest(theirs))
        await asyncio.sleep(0.1)
        return await asyncio.gather(asking, ends.newest(mine), return_exceptions=True)

    refused, newest = on_loop(both())
    assert isinstance(refused, Exception) and newest >= 11


# Coverage


def test_an_update_meets_what_another_reader_has_covered(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 49)
    session = rig.log_in(ann)
    rig.read(session, chat.peer)
    row = Chat.objects.get(peer_id=chat.peer)
    message = make_message(chat, "x")
    # By its date, before the session's updates bring what lies between.
    page = cache.Page(
        cache.scope_of(row), session.account_id, [message | {"message_id": 52}], covered=(52, 52)
    )
    cache.submit(page).result(10)
    for number in (51, 52, 53):
        data = {"message": message | {"message_id": number}}
        batch = UpdateBatch(session.pk, ann.id, [EngineEvent("message.new", chat.peer, data, 0)])
        writer.submit(lambda batch=batch: handle_updates([batch])).result(10)
        assert len(coverage.load(row.pk)) == 1
    assert coverage.load(row.pk) == [(0, 53)]


def test_what_is_covered_beside_a_fill_wakes_who_waits_for_it(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 20)
    session = rig.log_in(ann)

    async def wait() -> int:
        row, _ = await grants.open_chat(session, str(chat.peer))
        pace_of(session.pk).flooded(600)
        demand = await fill.demand(session, row, 1, 21, max_wait=1e9)
        waiting = asyncio.create_task(demand.reach(1))
        await asyncio.sleep(0)
        fill.note_covered(row.pk, 1, 21)
        try:
            return await asyncio.wait_for(waiting, 20)
        finally:
            demand.close()
            pace_of(session.pk).flood_until = 0.0

    assert on_loop(wait()) == 21


# Who leaves


def test_a_fill_leaves_no_listener(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 250)
    session = rig.log_in(ann)
    for _ in range(3):
        rig.read(session, chat.peer, force_refresh=True)
    rig.wait_until(lambda: not pace_of(session.pk).listeners)


def leave_while(name: str, owner: Any, monkeypatch: Any, work: Any) -> None:
    """Cancel `work` when `owner.name` has returned on the loop, and nobody has heard of it."""
    began, made, real = threading.Event(), threading.Event(), getattr(owner, name)

    async def slow(*args: Any, **kwargs: Any) -> Any:
        began.set()
        await asyncio.sleep(0.1)  # the other loop stands still by then
        result = await real(*args, **kwargs)
        asyncio.get_running_loop().call_later(0.05, made.set)
        return result

    monkeypatch.setattr(owner, name, slow)

    async def client() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(began.wait, 20)
        made.wait(20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(client())


def test_a_client_that_leaves_while_it_joins_a_fill(rig: Any, monkeypatch: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 400)
    session = rig.log_in(ann)
    rig.read(session, chat.peer, reverse=False, leave_after=1)
    rig.wait_until(lambda: not any(each.demands for each in fill.running()))
    leave_while(
        "demand",
        history.fill,
        monkeypatch,
        lambda: rig.aread(session, chat.peer, force_refresh=True),
    )
    rig.wait_until(lambda: "Fill._run" not in on_loop(running()))


async def running() -> list[str]:
    return [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]


def test_a_client_that_leaves_while_it_joins_a_download(scene: Any, monkeypatch: Any) -> None:
    uuid = scene.post(Blob(100 << 20, seed=3))
    row = Media.objects.select_related("file", "message__chat").get(pk=uuid)
    source = on_loop(media.source_of(scene.session, row))
    scene.rig.sandbox.faults.latency(0.3, method="upload.getFile")
    leave_while("_open", download, monkeypatch, lambda: download.open_reader(row.file, source))
    scene.rig.wait_until(lambda: download.status() == {"downloads": 0})
    assert scene.fetches() < 100


def test_a_job_that_is_cancelled_twice(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 2000)
    session = rig.log_in(ann)
    rig.sandbox.faults.latency(0.3, method="messages.getHistory")
    job = jobs.create(session, make_user("alice").pk, dialog=str(chat.peer))

    task = on_loop(job_runner.begin(job.pk))
    rig.wait_until(lambda: any(each.demands for each in fill.running()))

    async def cancel() -> None:
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=20)

    on_loop(cancel())
    assert not any(each.demands for each in fill.running())


def test_a_note_without_its_bytes_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    killed = PartFile(path)
    killed.write(0, b"A" * 1000)
    killed.save()
    killed.close()
    path.unlink()
    again = PartFile(path)
    again.write(900, b"B" * 100)
    again.close()
    last = PartFile(path)
    assert last.done == []
    last.write(0, b"C" * 10)
    last.discard()
    last.save()  # in its thread, a moment late
    last.close()
    assert list(tmp_path.iterdir()) == []
