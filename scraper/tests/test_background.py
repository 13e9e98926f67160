"""Files that histories fetch by themselves."""

from typing import Any

import pytest

from sandbox.world.blobs import Blob
from scraper import download, runtime_settings

pytestmark = pytest.mark.django_db(transaction=True)

KB = 1024


def post_all(rig: Any, scene: Any, sizes: list[int]) -> list[Any]:
    documents = [
        rig.world.add_document(Blob(size, seed=n), f"{n}.mp4", "video/mp4")
        for n, size in enumerate(sizes)
    ]
    for document in documents:
        rig.world.post(scene.channel, scene.channel, "", media=document)
    return documents


def present() -> int:
    from scraper.models import File, FileState

    return File.objects.filter(state=FileState.PRESENT).count()


def quiet() -> bool:
    from scraper import background

    return not background._queues


def test_it_works(scene: Any, rig: Any) -> None:
    post_all(rig, scene, [100 * KB] * 5)
    rig.read(scene.session, scene.channel.peer)
    rig.wait_until(lambda: present() == 5)
    assert scene.fetches() == 5


def test_the_cap_and_the_types_hold(scene: Any, rig: Any) -> None:
    runtime_settings.update({"max_media_size_mb": 1, "download_file_types": {"photos": False}})
    post_all(rig, scene, [100 * KB, 2000 * KB])
    rig.world.post(scene.channel, scene.channel, "", media=rig.world.add_photo())
    rig.read(scene.session, scene.channel.peer)
    rig.wait_until(lambda: present() == 1 and quiet())
    assert present() == 1
    assert scene.fetches() == 1


def test_the_cap_holds_while_streaming(scene: Any, rig: Any, settings: Any) -> None:
    from scraper.models import File

    runtime_settings.update({"max_media_size_mb": 1, "download_media": False})
    post_all(rig, scene, [6000 * KB])
    rig.read(scene.session, scene.channel.peer)
    File.objects.update(size=5)  # what its sender declared is a lie
    runtime_settings.update({"download_media": True})
    rig.read(scene.session, scene.channel.peer, force_refresh=True)
    rig.wait_until(lambda: File.objects.get().error == "too_large" and quiet())
    assert scene.fetches() <= 8
    assert not list((settings.DATA_DIR / "media" / "parts").iterdir())


def test_switched_off(scene: Any, rig: Any) -> None:
    runtime_settings.update({"download_media": False})
    post_all(rig, scene, [KB])
    rig.read(scene.session, scene.channel.peer)
    rig.settle()
    assert quiet() and scene.fetches() == 0


def test_repair(scene: Any, rig: Any, settings: Any) -> None:
    from scraper.models import File

    post_all(rig, scene, [10 * KB, 20 * KB])
    rig.read(scene.session, scene.channel.peer)
    rig.wait_until(lambda: present() == 2 and quiet())
    lost, cut = File.objects.order_by("stored_bytes")
    (settings.DATA_DIR / "media" / lost.path).unlink()
    (settings.DATA_DIR / "media" / cut.path).write_bytes(b"cut")
    runtime_settings.update({"repair_media": False})
    rig.read(scene.session, scene.channel.peer, force_refresh=True)
    rig.wait_until(quiet)
    assert scene.fetches() == 2
    runtime_settings.update({"repair_media": True})
    rig.read(scene.session, scene.channel.peer, force_refresh=True)
    rig.wait_until(lambda: scene.fetches() == 4 and quiet())
    assert (settings.DATA_DIR / "media" / cut.path).stat().st_size == 20 * KB


def test_the_quota(scene: Any, rig: Any, settings: Any) -> None:
    from scraper import shelf

    settings.TGHUB_MEDIA_QUOTA_MB = 1
    post_all(rig, scene, [400 * KB] * 4)
    messages = rig.read(scene.session, scene.channel.peer).messages
    rig.wait_until(lambda: present() == 2 and quiet())
    # An order is fetched all the same; what was not used for longest makes room.
    uuid = messages[-1]["media"]["uuid"]
    assert scene.get(uuid).status == 200
    rig.wait_until(lambda: shelf.used_bytes() <= 1024 * KB)
    assert present() == 2


def test_a_file_larger_than_the_quota(scene: Any, rig: Any, settings: Any) -> None:
    settings.TGHUB_MEDIA_QUOTA_MB = 1
    scene.post(Blob(400 * KB, seed=1))
    rig.wait_until(lambda: present() == 1 and quiet())
    blob = Blob(3000 * KB, seed=99)
    uuid = scene.post(blob)
    for _ in range(2):  # it is passed on each time, and puts nothing else out
        assert scene.get(uuid).body == blob.read()
        rig.wait_until(lambda: not download.status()["downloads"] and present() == 1 and quiet())
