"""Names, types, sizes and contents that want to do harm."""

import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.world.blobs import Blob
from scraper.file_headers import (
    INLINE_TYPES,
    ByteRange,
    RangeNotSatisfiable,
    content_type,
    disposition,
    parse_range,
    safe_name,
)

pytestmark = pytest.mark.django_db(transaction=True)

KB = 1024
POLYGLOTS = [
    ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
    ("text/html", b"<script>alert(1)</script>"),
    ("application/xhtml+xml", b"<html xmlns='http://www.w3.org/1999/xhtml'></html>"),
    ("image/gif", b"GIF89a/*<script>alert(1)</script>*/=1;"),
    ("text/javascript", b"alert(1)"),
    ("application/x-shockwave-flash", b"FWS"),
    ("TEXT/HTML; charset=utf-7", b"+ADw-script+AD4-alert(1)"),
    ("text/html\r\nX-Evil: 1", b"<script>alert(1)</script>"),
    ("not a type", b"<script>alert(1)</script>"),
    ("", b"<script>alert(1)</script>"),
]
NAMES = [
    "../../../etc/passwd",
    "..\\..\\windows\\system32\\evil.exe",
    "/etc/passwd",
    "C:\\boot.ini",
    "a\x00b.jpg",
    'quo"te\r\nSet-Cookie: a=b.jpg',
    "photo\u202egpj.exe",
    "CON.txt",
    ".htaccess",
    "." * 300,
    "x" * 5000 + ".jpg",
    "\ud800half.jpg",
    "％2e％2e／up",
    "日本語 — 🦊.pdf",
    "",
]


def test_names(scene: Any, settings: Any) -> None:
    root = Path(settings.DATA_DIR)
    for name in NAMES:
        content = b"content " + name.encode("utf-8", "replace")
        uuid = scene.post(content, name.replace("\ud800", "?"))
        answer = scene.get(uuid)
        assert answer.status == 200
        header = answer.headers["content-disposition"]
        assert not any(mark in header for mark in ("..", "/", "\\", "\r", "\n", "\x00"))
        assert set(answer.headers) & {"set-cookie", "x-evil"} == set()
        for path in (root / "media").rglob("*"):
            assert path.resolve().is_relative_to(root.resolve())
            assert name == "" or name not in str(path)
    assert not {"etc", "evil.exe", ".htaccess"} & {path.name for path in root.rglob("*")}


def test_scripts_are_never_shown(scene: Any) -> None:
    for kind, content in POLYGLOTS:
        answer = scene.get(scene.post(content, "x.html", kind))
        assert answer.body == content
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        shown = answer.headers["content-disposition"].startswith("inline")
        assert shown == (kind == "image/gif")
        assert answer.headers["content-type"] in ("application/octet-stream", "image/gif")


def test_a_size_that_is_a_lie_by_far(scene: Any, rig: Any) -> None:
    """A small file that claims to be huge, and a larger one that claims to be tiny."""
    from scraper.models import File

    for claimed, blob in ((1 << 40, Blob(3000, seed=1)), (10, Blob(900 * KB, seed=2))):
        uuid = scene.post(blob)
        File.objects.filter(media__uuid=uuid).update(size=claimed)
        answer = scene.get(uuid)
        assert (answer.status, answer.complete) == (200, True)
        assert answer.body == blob.read()
        assert scene.get(uuid).headers["content-length"] == str(blob.size)


def test_a_size_that_is_a_lie_by_little_breaks_off(scene: Any, rig: Any) -> None:
    from scraper import download
    from scraper.models import File

    for seed, claimed in enumerate((2900 * KB, 3100 * KB)):
        blob = Blob(3000 * KB, seed=seed)
        uuid = scene.post(blob)
        File.objects.filter(media__uuid=uuid).update(size=claimed)
        answer = scene.get(uuid)
        assert answer.aborted and not answer.complete
        rig.wait_until(lambda: not download.status()["downloads"])
        # Now it is known how large it is.
        assert scene.get(uuid).body == blob.read()


def test_a_link_in_the_store_is_not_followed(scene: Any, rig: Any, settings: Any) -> None:
    from scraper import download
    from scraper.models import File

    blob = Blob(100 * KB, seed=4)
    uuid = scene.post(blob)
    assert scene.get(uuid).body == blob.read()
    rig.wait_until(lambda: not download.status()["downloads"])
    secret = Path(settings.DATA_DIR) / "secret"
    secret.write_bytes(b"s" * blob.size)
    stored = Path(settings.DATA_DIR) / "media" / File.objects.get().path
    stored.unlink()
    stored.symlink_to(secret)
    assert scene.get(uuid).body == blob.read()


def test_a_full_disk(scene: Any, rig: Any) -> None:
    """The process may not write files above a size, which fails as a full disk does."""
    from scraper import download

    uuid = scene.post(Blob(20 * KB * KB, seed=5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * KB * KB, hard))
    try:
        answer = scene.get(uuid, headers={"range": f"bytes={15 * KB * KB}-"})
        assert (answer.status, answer.json()["code"]) == (507, "storage_full")
        broken = scene.get(uuid)
        assert broken.aborted
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    rig.wait_until(lambda: not download.status()["downloads"])
    assert scene.get(uuid).complete


def test_thumbnails(scene: Any, rig: Any) -> None:
    photo = rig.world.add_photo(width=1200, height=900)
    uuid = scene.post_media(photo)
    thumb = scene.get(f"{uuid}?thumb=1")
    assert (thumb.status, thumb.headers["content-type"]) == (200, "image/jpeg")
    assert thumb.body == photo.sizes["m"].read()
    asked = scene.fetches()
    assert scene.get(f"{uuid}?thumb=1").body == thumb.body
    etag = {"if-none-match": thumb.headers["etag"]}
    assert scene.get(f"{uuid}?thumb=1", headers=etag).status == 304
    assert scene.fetches() == asked
    assert scene.get(uuid).body == photo.sizes["x"].read()
    plain = scene.post(Blob(10, seed=1))
    none = scene.get(f"{plain}?thumb=1")
    assert (none.status, none.json()["code"]) == (404, "thumb_not_found")


@given(st.text(max_size=300))
def test_any_name_is_made_safe(name: str) -> None:
    made = safe_name(name, "file")
    assert made and "/" not in made and "\\" not in made and made not in (".", "..")
    assert len(made.encode()) <= 200
    header = disposition(made, content_type("image/png"))
    assert header.isascii() and header.isprintable()


@given(st.text(max_size=80))
def test_any_type_is_made_safe(declared: str) -> None:
    kind = content_type(declared)
    assert kind.isascii() and kind.isprintable()
    assert not kind.startswith(("text/html", "image/svg", "application/xhtml"))


def test_ranges_longer_than_any_file() -> None:
    end = "9" * 900
    assert parse_range(f"bytes=10-{end}", 100) == ByteRange(10, 100)
    assert parse_range(f"bytes=-{end}", 100) == ByteRange(0, 100)
    for size in (100, 0):
        with pytest.raises(RangeNotSatisfiable):
            parse_range(f"bytes={end}-", size)


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d*-\d*"), st.integers(0, 10**12) | st.none())
def test_any_range_is_read_or_refused(header: str, size: int | None) -> None:
    try:
        found = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    if found is not None:
        assert found.start >= 0
        assert found.end is None or found.start < found.end
        assert size is None or (found.end is not None and found.end <= size)
    assert "text/html" not in INLINE_TYPES
