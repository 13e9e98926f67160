"""Files through a real hub: killed in mid-download, exported by the command."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx

from sandbox import Sandbox
from sandbox.world.blobs import Blob
from tests.hub import Hub, wait_until

MB = 1024 * 1024
PHONE = "+15550000001"
NAME = {"X-Telegram-Username": "ann"}


def newest_uuid(hub: Hub, chat: int) -> str | None:
    """Return the uuid of the newest message's file, as the history tells it."""
    with hub.http.stream("GET", f"/api/v3/history/{chat}", headers=NAME) as answer:
        assert answer.status_code == 200, answer.read()
        found = [
            message
            for line in answer.iter_lines()
            if line.startswith("data: ")
            for message in json.loads(line[6:])["messages"]
        ]
    return found[-1]["media"]["uuid"] if found[-1]["media"] else None


def test_kill_in_the_middle_of_a_download(
    telegram: Sandbox, make_hub: Callable[..., Hub], count: Callable[[int, int], int]
) -> None:
    world = telegram.world
    ann = world.add_user("Ann", phone=PHONE)
    channel = world.add_channel("Films", ann, username="films_here")
    hub = make_hub().start()
    hub.log_in("ann", PHONE, telegram.login_code)
    blob = Blob(count(30, 200) * MB, seed=77)
    parts = blob.size // (MB // 2)
    film = world.add_document(blob, "film.mp4", "video/mp4")
    world.post(channel, channel, "", media=film)
    uuid = wait_until(lambda: newest_uuid(hub, channel.peer))
    telegram.faults.latency(0.05, method="upload.getFile")
    for kill in range(count(1, 10)):
        seen = 0
        try:
            with hub.http.stream("GET", f"/api/v3/files/{uuid}", headers=NAME) as answer:
                for chunk in answer.iter_bytes():
                    seen += len(chunk)
                    if seen >= (10 + 5 * kill) * MB:
                        hub.kill()
                        break
        except httpx.HTTPError:
            pass
        assert seen >= 10 * MB
        hub.start()
        hub.wait_connected("ann")
    assert hub.get(f"/api/v3/files/{uuid}", headers=NAME).content == blob.read()
    # What was not yet noted, or in flight, when it was killed is asked for again.
    lost = (count(1, 10) + 1) * (16 + 16 + 1)
    assert telegram.calls.count("upload.getFile") <= parts + lost
    # It is put away after its last byte was sent.
    wait_until(lambda: not list((hub.data_dir / "media" / "parts").glob("*.json")))
    ranged = hub.get(f"/api/v3/files/{uuid}", headers={**NAME, "Range": "bytes=-1000"})
    assert (ranged.status_code, ranged.content) == (206, blob.read(blob.size - 1000))
    head = hub.http.head(f"/api/v3/files/{uuid}", headers=NAME)
    assert (head.status_code, head.headers["content-length"]) == (200, str(blob.size))

    # The command, beside the hub and without it.
    for name in ("beside", "alone"):
        output = hub.data_dir / name
        words = ["export", "ann", "@films_here", "--media", "--output", str(output)]
        hub.manage(*words, "--format", "csv")
        manifest: Any = json.loads((output / "manifest.json").read_text())
        assert manifest["complete"] and len(manifest["files"]) == 2
        for file in manifest["files"]:
            content = (output / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
        if name == "beside":
            assert hub.stop() == 0
    gone = hub.manage("delete_cache", "ann", str(channel.peer))
    assert "1 files deleted" in gone.stdout
    assert not [path for path in (hub.data_dir / "media").rglob("*") if path.is_file()]
