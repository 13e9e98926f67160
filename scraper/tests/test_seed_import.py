"""What telegram-scraper-server had cached, taken over."""

import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.django_db(transaction=True)

UUID = "a1b2c3d4-e5f6-4890-abcd-ef1234567890"


def make_seed(root: Path, peer: int, secret: Path) -> Path:
    folder = root / "channels" / str(peer)
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "7-photo.jpg").write_bytes(b"\xff\xd8\xffpicture")
    (folder / "media" / "link.jpg").symlink_to(secret)
    with sqlite3.connect(folder / f"{peer}.db") as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, Message_Id INTEGER UNIQUE, date TEXT, "
            "sender_id INTEGER, first_name TEXT, last_name TEXT, username TEXT, message TEXT, "
            "media_type TEXT, media_path TEXT, media_uuid TEXT, reply_to INTEGER, "
            "post_author TEXT, is_forwarded INTEGER, forwarded_from_channel_id INTEGER)"
        )
        for number in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11):
            kind, path, name = {
                7: ("MessageMediaPhoto", f"data/channels/{peer}/media/7-photo.jpg", UUID),
                8: ("MessageMediaDocument", "../../../../etc/passwd", None),
                9: ("MessageMediaPhoto", f"/srv/{peer}/media/link.jpg", None),
            }.get(number, (None, None, None))
            database.execute(
                "INSERT INTO messages (message_id, date, sender_id, message, media_type, "
                "media_path, media_uuid) VALUES (?, ?, 7, ?, ?, ?, ?)",
                (number, f"2025-01-{number:02d} 10:00:00", f"imported {number}", kind, path, name),
            )
        database.execute("INSERT INTO messages (message_id, date) VALUES (99, 'rubbish')")
    database.close()
    return root


def test_it_works(rig: Any, tmp_path: Path) -> None:
    from scraper.models import ChatAccess, Coverage, File, Message
    from scraper.seed_import import import_channels
    from scraper.tests.web import Web, path_of
    from sessions_app.tests.helpers import make_user

    secret = tmp_path / "secret"
    secret.write_text("canary")
    ann = rig.person("Ann")
    chat = rig.world.add_channel("Old", ann)
    for number in range(2, 13):
        rig.world.post(chat, chat, f"at Telegram {number}")
    seed = make_seed(tmp_path / "seed", chat.peer, secret)
    before = {path: path.stat().st_mtime_ns for path in seed.rglob("*")}
    (result,) = import_channels(seed, make_user())
    assert (result.messages, result.files, result.problem) == (10, 1, "")
    assert {path: path.stat().st_mtime_ns for path in seed.rglob("*")} == before
    covered = list(Coverage.objects.order_by("low").values_list("low", "high"))
    assert covered == [(1, 4), (6, 7), (10, 11)]
    assert not ChatAccess.objects.exists()
    assert File.objects.count() == 1

    session = rig.log_in(ann)
    read = {each["message_id"]: each for each in rig.read(session, chat.peer).messages}
    assert read[7]["message"] == "imported 7"
    assert read[5]["message"] == "at Telegram 5"
    assert read[8]["message"] == "at Telegram 8"
    assert read[7]["media"]["uuid"] == UUID
    answer = Web().get(path_of(UUID), session)
    assert (answer.status, answer.body) == (200, b"\xff\xd8\xffpicture")
    assert answer.headers["content-type"] == "image/jpeg"
    stranger = rig.log_in(rig.person("Eve"), owner="eve")
    assert Web("eve").get(path_of(UUID), stranger).status == 404

    (again,) = import_channels(seed, make_user())
    assert (again.messages, again.files) == (0, 0)
    assert Message.objects.filter(pk__gt=0).count() == 12


def test_what_cannot_be_read(rig: Any, tmp_path: Path) -> None:
    from scraper.seed_import import import_channels
    from sessions_app.tests.helpers import make_user

    channels = tmp_path / "channels"
    for name in ("-1001", "777", "..nonsense", "-1002"):
        (channels / name).mkdir(parents=True)
    (channels / "-1001" / "-1001.db").write_text("no database")
    with sqlite3.connect(channels / "777" / "777.db") as database:
        database.execute("CREATE TABLE messages (message_id, date, message)")
    database.close()
    problems = {each.name: each.problem for each in import_channels(tmp_path, make_user())}
    assert all(problems.values())
    assert len(problems) == 4
    assert import_channels(tmp_path / "nothing", make_user()) == []
    assert uuid.UUID(UUID)
