"""Settings at runtime: merged, validated, kept in a file that people edit, too."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

URL = "/api/v3/settings"
HEADERS = {"X-Telegram-Username": "ann"}
DEFAULTS = {
    "download_media": True,
    "max_media_size_mb": 20,
    "telegram_batch_size": 100,
    "repair_media": True,
    "download_file_types": {
        "photos": True,
        "videos": True,
        "voice_messages": True,
        "video_messages": True,
        "stickers": True,
        "gifs": True,
        "files": True,
    },
}


@pytest.fixture
def client(db: None, settings: Any, tmp_path: Path) -> Any:
    from sessions_app.tests.helpers import make_client, make_session

    settings.DATA_DIR = tmp_path
    make_session("ann")
    return make_client()


def patch(client: Any, body: Any, status: int = 200) -> Any:
    answer = client.patch(URL, body, format="json", headers=HEADERS)
    assert answer.status_code == status, answer.content
    return answer.json()


def stored(tmp_path: Path) -> Any:
    return yaml.safe_load((tmp_path / "settings.yaml").read_text())


def test_the_file_is_made_with_the_defaults(client: Any, tmp_path: Path) -> None:
    assert client.get(URL, headers=HEADERS).json() == DEFAULTS
    assert stored(tmp_path) == DEFAULTS


def test_changes_are_merged_and_kept(client: Any, tmp_path: Path) -> None:
    patch(client, {"download_media": False, "max_media_size_mb": 50})
    changed = patch(client, {"download_file_types": {"stickers": False}})
    types = {**DEFAULTS["download_file_types"], "stickers": False}
    expected = {
        **DEFAULTS,
        "download_media": False,
        "max_media_size_mb": 50,
        "download_file_types": types,
    }
    assert changed == expected == client.get(URL, headers=HEADERS).json() == stored(tmp_path)
    assert patch(client, {}) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["settings.yaml"]


@pytest.mark.parametrize(
    "body",
    [
        {"max_media_size_mb": None},
        {"max_media_size_mb": 0.5},
        {"max_media_size_mb": 4096},
        {"telegram_batch_size": 1},
        {"telegram_batch_size": 100},
        {"repair_media": False},
    ],
)
def test_what_is_taken(client: Any, body: dict[str, Any]) -> None:
    assert patch(client, body) == {**DEFAULTS, **body}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_media_size_mb": 0}, "max_media_size_mb"),
        ({"max_media_size_mb": -1}, "max_media_size_mb"),
        ({"max_media_size_mb": 4096.1}, "max_media_size_mb"),
        ({"max_media_size_mb": "20"}, "max_media_size_mb"),
        ({"max_media_size_mb": True}, "max_media_size_mb"),
        ({"telegram_batch_size": 0}, "telegram_batch_size"),
        ({"telegram_batch_size": 101}, "telegram_batch_size"),
        ({"telegram_batch_size": 5.5}, "telegram_batch_size"),
        ({"telegram_batch_size": None}, "telegram_batch_size"),
        ({"download_media": "yes"}, "download_media"),
        ({"download_media": 1}, "download_media"),
        ({"repair_media": None}, "repair_media"),
        ({"colour": "red"}, "colour"),
        ({"download_media": False, "colour": "red"}, "colour"),
        ({"download_file_types": {"songs": True}}, "download_file_types.songs"),
        ({"download_file_types": {"photos": "no"}}, "download_file_types.photos"),
        ({"download_file_types": []}, "download_file_types.non_field_errors"),
        ([], "non_field_errors"),
        ("text", "non_field_errors"),
    ],
)
def test_what_is_refused(client: Any, body: Any, field: str) -> None:
    answer = patch(client, body, 400)
    assert list(answer["errors"]) == [field]
    assert client.get(URL, headers=HEADERS).json() == DEFAULTS


def test_an_edit_of_the_file_holds_at_once(client: Any, tmp_path: Path) -> None:
    client.get(URL, headers=HEADERS)
    (tmp_path / "settings.yaml").write_text("telegram_batch_size: 10\n")
    assert client.get(URL, headers=HEADERS).json() == {**DEFAULTS, "telegram_batch_size": 10}


@pytest.mark.parametrize(
    "text", ["{", "- a\n- b\n", "telegram_batch_size: 1000\n", "x: !!python/name:os.system\n"]
)
def test_a_broken_file_changes_nothing_and_is_not_lost(
    client: Any, tmp_path: Path, text: str
) -> None:
    patch(client, {"telegram_batch_size": 7})
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert client.get(URL, headers=HEADERS).json()["telegram_batch_size"] == 7
    refused = patch(client, {"telegram_batch_size": 8}, 400)
    assert refused["code"] == "settings_unreadable"
    assert str(tmp_path) not in refused["detail"]
    assert file.read_text() == text


def test_yaml_comes_and_goes(client: Any, tmp_path: Path) -> None:
    exported = client.get(f"{URL}.yaml", headers=HEADERS)
    assert exported["Content-Type"] == "application/yaml"
    assert yaml.safe_load(exported.content) == DEFAULTS
    text = "download_media: false\ndownload_file_types:\n  gifs: false\n"
    imported = client.put(
        f"{URL}.yaml", data=text, content_type="application/yaml", headers=HEADERS
    )
    types = {**DEFAULTS["download_file_types"], "gifs": False}
    expected = {**DEFAULTS, "download_media": False, "download_file_types": types}
    assert imported.json() == expected == stored(tmp_path)
    for bad in ("{", "colour: red\n", b"\xff\xfe", "x" * 70_000):
        refused = client.put(
            f"{URL}.yaml", data=bad, content_type="application/yaml", headers=HEADERS
        )
        assert refused.status_code in (400, 413), bad
    assert stored(tmp_path) == expected


def test_only_an_admin_changes_them(client: Any) -> None:
    from accounts.models import Scope
    from sessions_app.tests.helpers import make_client, make_user

    reader = make_client(make_user("alice"), Scope.READ)
    assert reader.get(URL, headers=HEADERS).status_code == 200
    for refused in (
        reader.patch(URL, {"download_media": False}, format="json", headers=HEADERS),
        reader.put(f"{URL}.yaml", data="", content_type="text/yaml", headers=HEADERS),
    ):
        assert refused.status_code == 403
        assert "admin" in refused.json()["detail"]


def test_what_the_rooms_ask(client: Any) -> None:
    from scraper.runtime_settings import RuntimeSettings

    values = RuntimeSettings(max_media_size_mb=1.5)
    assert values.max_media_size_bytes == math.floor(1.5 * 1024 * 1024)
    assert RuntimeSettings(max_media_size_mb=None).max_media_size_bytes is None
    assert values.wants("photos")
    assert not RuntimeSettings(download_media=False).wants("photos")
    assert not RuntimeSettings(download_file_types={"photos": False}).wants("photos")
