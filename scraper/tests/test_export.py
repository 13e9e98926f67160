"""A dialog as files, over HTTP and by the command; and deleting it."""

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.world.blobs import Blob
from scraper import export
from scraper.tests.rig import run

pytestmark = pytest.mark.django_db(transaction=True)

EVIL = "<script>alert(1)</script>\"'`</title><img src=x onerror=alert(1)>"


@pytest.fixture
def posts(scene: Any, rig: Any) -> Any:
    """120 texts, one of them hostile, and two files."""
    for n in range(118):
        rig.world.post(scene.channel, scene.channel, f"post {n}")
    rig.world.post(scene.channel, scene.channel, EVIL)
    rig.world.post(scene.channel, scene.channel, "=HYPERLINK(1)")
    for name in ("../../evil.html", "good.mp4"):
        document = rig.world.add_document(Blob(300_000, seed=len(name)), name, "video/mp4")
        rig.world.post(scene.channel, scene.channel, "", media=document)
    return scene


def fetch(scene: Any, query: str) -> zipfile.ZipFile:
    answer = scene.web.get(f"/api/v3/export/{scene.channel.peer}?{query}", scene.session)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    return archive


def manifest_of(archive: zipfile.ZipFile) -> Any:
    manifest = json.loads(archive.read("manifest.json"))
    for file in manifest["files"]:
        content = archive.read(file["name"])
        assert len(content) == file["size"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert {file["name"] for file in manifest["files"]} | {"manifest.json"} == set(
        archive.namelist()
    )
    return manifest


def test_it_works(posts: Any) -> None:
    archive = fetch(posts, "")
    manifest = manifest_of(archive)
    assert (manifest["complete"], manifest["messages"]) == (True, 123)
    lines = archive.read("messages.jsonl").decode().splitlines()
    assert [json.loads(line)["message_id"] for line in lines] == list(range(1, 124))


def test_csv_is_harmless(posts: Any) -> None:
    archive = fetch(posts, "format=csv")
    rows = list(csv.DictReader(io.StringIO(archive.read("messages.csv").decode())))
    assert len(rows) == 123
    assert rows[119]["message"] == EVIL
    assert rows[120]["message"] == "'=HYPERLINK(1)"


def test_html_is_harmless(posts: Any) -> None:
    page = fetch(posts, "format=html&media=true").read("messages.html").decode()
    assert page.count("<article") == 123
    assert "<script" not in page
    assert "onerror=alert" not in page.replace("onerror=alert(1)&gt;", "")
    assert 'href="..' not in page and 'src="..' not in page


def test_media_lie_beside(posts: Any) -> None:
    archive = fetch(posts, "media=true")
    manifest = manifest_of(archive)
    names = sorted(name for name in archive.namelist() if name.startswith("media/"))
    assert len(names) == 2
    assert {name.rpartition(".")[2] for name in names} == {"bin", "mp4"}
    assert not any(".." in name for name in names)
    assert manifest["missing_media"] == []


def test_refusals(posts: Any) -> None:
    from scraper.tests.web import Web

    path = f"/api/v3/export/{posts.channel.peer}"
    assert posts.web.get(path + "?format=pdf", posts.session).status == 400
    assert (
        posts.web.get(path + "?start_date=2030-01-01&end_date=2029-01-01", posts.session).status
        == 400
    )
    assert posts.web.get("/api/v3/export/-100999", posts.session).status == 404
    assert Web("eve").get(path, posts.session).status == 401


def test_a_stranger_exports_nothing(scene: Any, rig: Any) -> None:
    from scraper.tests.web import Web

    private = rig.world.add_channel("Secret", scene.ann)
    rig.world.post(private, private, "canary")
    assert rig.read(scene.session, private.peer).ids == [1, 2]
    eve = rig.log_in(rig.person("Eve"), owner="eve")
    answer = Web("eve").get(f"/api/v3/export/{private.peer}", eve)
    assert answer.status == 404
    found = Web("eve").get("/api/v3/search/cache?q=canary", eve)
    assert found.json()["results"] == []
    assert Web("eve").get(f"/api/v3/search/cache?q=canary&dialog={private.peer}", eve).status == 404
    mine = scene.web.get("/api/v3/search/cache?q=canary", scene.session)
    for kind in ("foo", "anything", "MessageMediaPhoto-x"):
        url = f"/api/v3/search/cache?q=canary&media_type={kind}"
        wrong = scene.web.get(url, scene.session)
        assert (wrong.status, list(wrong.json()["errors"])) == (400, ["media_type.0"]), kind
    assert [each["message"] for each in mine.json()["results"]] == ["canary"]


def test_to_a_directory(posts: Any, tmp_path: Path) -> None:
    async def work() -> Any:
        query = export.ExportQuery(format="jsonl", media=True)
        pieces = await export.export(posts.session, "files_channel", query)
        return await export.write_to(tmp_path / "out", pieces)

    manifest = run(work())
    assert manifest["complete"]
    for file in manifest["files"]:
        content = (tmp_path / "out" / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_deleting_a_cache(posts: Any, rig: Any, settings: Any) -> None:
    from scraper import download
    from scraper.models import Coverage, File, Media, Message
    from scraper.tests.web import Web

    uuid = rig.read(posts.session, posts.channel.peer).messages[-1]["media"]["uuid"]
    assert posts.get(uuid).status == 200
    rig.wait_until(lambda: not download.status()["downloads"])
    path = f"/api/v3/cache/{posts.channel.peer}"
    assert (
        Web(scopes=["read", "send", "sessions"]).get(path, posts.session, method="DELETE").status
        == 403
    )
    gone = posts.web.get(path, posts.session, method="DELETE").json()
    assert gone["messages_deleted"] == 123
    for model in (Message, Media, Coverage, File):
        assert not model.objects.exists()
    stored = [p for p in (settings.DATA_DIR / "media").rglob("*") if p.is_file()]
    assert stored == []
    assert posts.get(uuid).status == 404
    again = rig.read(posts.session, posts.channel.peer)
    assert again.ids == list(range(1, 124))


def test_files_go_with_the_last_account_that_saw_them(scene: Any, rig: Any, settings: Any) -> None:
    from django.db import transaction

    from scraper import download, forgetting
    from scraper.models import File
    from sessions_app.purge import let_go

    bob = rig.person("Bob")
    document = rig.world.add_document(Blob(1000, seed=1), "private.mp4", "video/mp4")
    rig.world.post(bob, scene.ann, "", media=document)
    uuid = rig.read(scene.session, bob.id).messages[-1]["media"]["uuid"]
    assert scene.get(uuid).status == 200
    rig.wait_until(lambda: not download.status()["downloads"])
    with transaction.atomic():
        let_go(scene.session, "destroyed")
    forgetting.sweep()
    assert not File.objects.exists()
    assert not [path for path in (settings.DATA_DIR / "media").rglob("*") if path.is_file()]
