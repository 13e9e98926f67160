"""Files over HTTP: from Telegram, from the store, in ranges, by whom."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sandbox.world.blobs import Blob

MB = 1024 * 1024
PART = 512 * 1024


pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(scene: Any) -> None:
    blob = Blob(3 * MB + 77, seed=5)
    uuid = scene.post(blob, "Grüße.mp4")
    cold = scene.get(uuid)
    assert (cold.status, cold.complete) == (200, True)
    assert cold.body == blob.read()
    assert cold.headers["content-length"] == str(blob.size)
    assert cold.headers["content-type"] == "video/mp4"
    assert cold.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in cold.headers["content-security-policy"]
    assert cold.headers["content-disposition"] == (
        "inline; filename=\"Gr__e.mp4\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.mp4"
    )
    asked = scene.fetches()
    assert asked == 7
    warm = scene.get(uuid)
    assert warm.body == cold.body
    assert warm.headers["etag"] == cold.headers["etag"]
    assert scene.fetches() == asked


def test_ranges_cold_and_warm(scene: Any) -> None:
    blob = Blob(12 * MB + 5, seed=6)
    uuid = scene.post(blob)
    far = scene.get(uuid, headers={"range": f"bytes={10 * MB + 3}-{10 * MB + 1002}"})
    assert far.status == 206
    assert far.headers["content-range"] == f"bytes {10 * MB + 3}-{10 * MB + 1002}/{blob.size}"
    assert far.body == blob.read(10 * MB + 3, 1000)
    assert scene.fetches() <= 2
    end = scene.get(uuid, headers={"range": "bytes=-7"})
    assert (end.status, end.body) == (206, blob.read(blob.size - 7, 7))
    rest = scene.get(uuid, headers={"range": f"bytes={11 * MB}-"})
    assert rest.body == blob.read(11 * MB)
    whole = scene.get(uuid)
    assert whole.body == blob.read()
    asked = scene.fetches()
    assert asked <= 25 + 6
    for header in ("bytes=0-0", f"bytes={blob.size - 1}-", "bytes=5-100"):
        warm = scene.get(uuid, headers={"range": header})
        assert warm.status == 206
        start = int(warm.headers["content-range"].split()[1].split("-")[0])
        assert warm.body == blob.read(start, len(warm.body))
        assert int(warm.headers["content-length"]) == len(warm.body)
    beyond = scene.get(uuid, headers={"range": f"bytes={blob.size}-"})
    assert beyond.status == 416
    assert beyond.headers["content-range"] == f"bytes */{blob.size}"
    assert beyond.json()["code"] == "range_not_satisfiable"
    for odd in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x"):
        assert scene.get(uuid, headers={"range": odd}).status == 200
    assert scene.fetches() == asked


def test_conditions(scene: Any) -> None:
    blob = Blob(1000, seed=2)
    uuid = scene.post(blob)
    etag = scene.get(uuid).headers["etag"]
    same = scene.get(uuid, headers={"if-none-match": f'"other", {etag}'})
    assert (same.status, same.body) == (304, b"")
    fresh = scene.get(uuid, headers={"if-range": etag, "range": "bytes=0-9"})
    assert (fresh.status, len(fresh.body)) == (206, 10)
    for stale in ('"other"', "Wed, 21 Oct 2026 07:28:00 GMT", f"W/{etag}"):
        answer = scene.get(uuid, headers={"if-range": stale, "range": "bytes=0-9"})
        assert (answer.status, len(answer.body)) == (200, 1000)


def test_head_fetches_nothing(scene: Any) -> None:
    uuid = scene.post(Blob(2 * MB, seed=3))
    head = scene.get(uuid, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(2 * MB)
    assert head.headers["accept-ranges"] == "bytes"
    assert scene.fetches() == 0


def test_a_range_ahead_goes_first(scene: Any, rig: Any) -> None:
    from scraper.tests.rig import run
    from scraper.tests.web import path_of

    blob = Blob(40 * MB, seed=8)
    uuid = scene.post(blob)
    rig.sandbox.faults.latency(0.05, method="upload.getFile")
    order: list[str] = []

    async def both() -> Any:
        started = asyncio.Event()

        async def note(answer: Any) -> None:
            started.set()

        async def whole() -> Any:
            answer = await scene.web.aget(path_of(uuid), scene.session, on_chunk=note)
            order.append("whole")
            return answer

        async def far() -> Any:
            await started.wait()
            wanted = {"range": f"bytes={30 * MB}-{31 * MB}"}
            answer = await scene.web.aget(path_of(uuid), scene.session, headers=wanted)
            order.append("far")
            return answer

        return await asyncio.gather(whole(), far())

    everything, part = run(both())
    assert order == ["far", "whole"]
    assert part.body == blob.read(30 * MB, MB + 1)
    assert everything.body == blob.read()
    assert scene.fetches() <= 80 + 64


def test_two_clients_join_one_download(scene: Any, rig: Any) -> None:
    from scraper.tests.rig import run
    from scraper.tests.web import path_of

    blob = Blob(8 * MB, seed=9)
    uuid = scene.post(blob)
    bob = rig.person("Bob")
    rig.world.join(bob, scene.channel)
    other = rig.log_in(bob)
    assert scene.newest(other) == uuid
    rig.sandbox.faults.latency(0.02, method="upload.getFile")

    async def all_at_once() -> Any:
        sessions = [scene.session, other, scene.session, other]
        return await asyncio.gather(*(scene.web.aget(path_of(uuid), each) for each in sessions))

    for answer in run(all_at_once()):
        assert answer.body == blob.read()
    assert scene.fetches() == 16


def test_one_document_in_two_messages_is_fetched_once(scene: Any, rig: Any) -> None:
    document = rig.world.add_document(Blob(MB, seed=10), "same.mp4", "video/mp4")
    first, second = scene.post_media(document), scene.post_media(document)
    assert first != second
    assert scene.get(first).body == scene.get(second).body
    assert scene.fetches() == 2


def test_the_same_content_under_two_ids_is_stored_once(scene: Any, rig: Any, settings: Any) -> None:
    from scraper import download
    from scraper.models import File

    content = Blob(700_000, seed=11).read()
    uuids = [scene.post(content, name) for name in ("a.mp4", "b.mp4")]
    for uuid in uuids:
        assert scene.get(uuid).body == content
        rig.wait_until(lambda: not download.status()["downloads"])
    files = File.objects.all()
    assert len(files) == 2
    assert len({file.path for file in files}) == 1
    assert {file.sha256 for file in files} == {hashlib.sha256(content).hexdigest()}
    stored = [path for path in (settings.DATA_DIR / "media").rglob("*") if path.is_file()]
    assert len(stored) == 1


def test_a_client_that_leaves_stops_the_work_and_comes_back(scene: Any, rig: Any) -> None:
    from scraper import download

    blob = Blob(40 * MB, seed=12)
    uuid = scene.post(blob)
    rig.sandbox.faults.latency(0.05, method="upload.getFile")
    scene.get(uuid, leave_after=10 * MB)
    rig.wait_until(lambda: not download.status()["downloads"])
    asked = scene.fetches()
    assert asked < 60
    part = next((Path(download.storage.media_dir()) / "parts").glob("*.part"))
    assert part.stat().st_size >= 10 * MB
    assert scene.get(uuid).body == blob.read()
    # Parts in flight when the client left are asked for again, what had come is not.
    assert scene.fetches() <= 80 + 16 + 2
    rig.wait_until(lambda: not list(part.parent.iterdir()))


def test_an_expired_reference_is_refreshed(scene: Any, rig: Any) -> None:
    blob = Blob(4 * MB, seed=13)
    uuid = scene.post(blob)
    rig.world.expire_file_references()
    assert scene.get(uuid).body == blob.read()


def test_a_reference_expires_in_the_middle(scene: Any, rig: Any) -> None:
    blob = Blob(30 * MB, seed=14)
    uuid = scene.post(blob)
    rig.sandbox.faults.latency(0.02, method="upload.getFile")
    expired = False

    async def expire(answer: Any) -> None:
        nonlocal expired
        if not expired and len(answer.body) > 4 * MB:
            expired = True
            rig.world.expire_file_references()

    assert scene.get(uuid, on_chunk=expire).body == blob.read()
    assert expired


def test_a_file_on_another_data_centre(scene: Any) -> None:
    blob = Blob(3 * MB, seed=15)
    assert scene.get(scene.post(blob, dc=1)).body == blob.read()


def test_a_message_that_is_gone_before_the_download(scene: Any, rig: Any) -> None:
    uuid = scene.post(Blob(MB, seed=16))
    rig.world.delete((scene.channel.peer, 2))
    rig.world.expire_file_references()
    answer = scene.get(uuid)
    assert answer.status == 404


def test_telegram_asks_to_wait(scene: Any, rig: Any) -> None:
    uuid = scene.post(Blob(MB, seed=17))
    rig.sandbox.faults.flood("upload.getFile", 600)
    answer = scene.get(uuid)
    assert answer.status == 429
    assert 500 < int(answer.headers["retry-after"]) <= 600


def test_names_that_are_none(scene: Any) -> None:
    for name in ("", "nothing", "%00", "a" * 5000, "../../etc/passwd"):
        answer = scene.get(name)
        assert answer.status in (400, 404)
        assert answer.json()["detail"]


def test_an_unknown_uuid(scene: Any) -> None:
    answer = scene.get("00000000-0000-4000-8000-000000000000")
    assert (answer.status, answer.json()["code"]) == (404, "media_not_found")


def test_without_key_session_or_scope(scene: Any) -> None:
    from scraper.tests.web import Web, path_of

    uuid = scene.post(Blob(1000, seed=1))
    assert scene.web.get(path_of(uuid)).status == 401
    assert scene.get(uuid, headers={"authorization": "Bearer nonsense"}).status == 401
    assert scene.get(uuid, web=Web(scopes=["send"])).status == 403
    assert scene.get(uuid, web=Web(owner="eve")).status == 401


def test_another_user_and_a_kicked_member_get_404(scene: Any, rig: Any) -> None:
    from scraper.tests.web import Web

    private = rig.world.add_channel("Secret", scene.ann)
    document = rig.world.add_document(Blob(MB, seed=18), "s.mp4", "video/mp4")
    rig.world.post(private, private, "", media=document)
    bob, eve = rig.person("Bob"), rig.person("Eve")
    rig.world.join(bob, private)
    member, stranger = rig.log_in(bob, owner="bob"), rig.log_in(eve, owner="eve")
    uuid = rig.read(member, private.peer).messages[-1]["media"]["uuid"]
    inside = Web("bob")
    assert scene.get(uuid, member, inside).status == 200
    assert scene.get(uuid, stranger, Web("eve")).status == 404
    assert scene.get(uuid, stranger, Web("eve"), headers={"range": "bytes=0-3"}).status == 404
    assert scene.get(f"{uuid}?thumb=1", stranger, Web("eve")).status == 404
    rig.world.kick(private, bob)
    rig.wait_until(lambda: scene.get(uuid, member, inside).status == 404)


def test_a_kick_ends_a_download_within_seconds(scene: Any, rig: Any) -> None:
    from scraper.tests.web import Web

    private = rig.world.add_channel("Secret", scene.ann)
    blob = Blob(200 * MB, seed=19)
    document = rig.world.add_document(blob, "s.mp4", "video/mp4")
    rig.world.post(private, private, "", media=document)
    bob = rig.person("Bob")
    rig.world.join(bob, private)
    member = rig.log_in(bob, owner="bob")
    uuid = rig.read(member, private.peer).messages[-1]["media"]["uuid"]
    kicked = False

    async def kick(answer: Any) -> None:
        nonlocal kicked
        if not kicked and len(answer.body) > MB:
            kicked = True
            rig.world.kick(private, bob)
        await asyncio.sleep(0.02)

    answer = scene.get(uuid, member, Web("bob"), on_chunk=kick)
    assert answer.aborted
    assert len(answer.body) < blob.size


@pytest.mark.database
def test_what_may_still_be_seen(scene: Any, rig: Any) -> None:
    """The short question that is asked while a file is sent agrees with the long one."""
    from scraper import media
    from scraper.models import ChatAccess
    from sessions_app.models import SessionState, TelegramSession

    name = UUID(scene.post(Blob(MB, seed=20)))
    stranger = rig.log_in(rig.person("Eve"), owner="eve")
    own = TelegramSession.objects.filter(pk=scene.session.pk)
    account_id = scene.session.account_id

    row = media.readable(scene.session, name)
    assert row is not None

    def seen(session: TelegramSession) -> bool:
        told = media.still_readable(session, row)
        assert told == (media.readable(session, name) is not None)
        return told

    assert seen(scene.session)
    assert not seen(stranger)
    granted = ChatAccess.objects.filter(account_id=account_id)
    granted.update(min_id=1000)
    assert not seen(scene.session)
    granted.update(min_id=0)
    assert seen(scene.session)
    own.update(account_id=stranger.account_id)
    assert not media.still_readable(scene.session, row)
    own.update(account_id=account_id, state=SessionState.EXPIRED)
    assert not media.still_readable(scene.session, row)
    own.update(state=SessionState.READY)
    granted.delete()
    assert not seen(scene.session)
