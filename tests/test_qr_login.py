"""QR login from the first code to the last word, over HTTP, against the sandbox."""

import dataclasses
import sqlite3
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from tests.hub import Hub, auth_keys, wait_until

QR = "/api/v3/auth/qr"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as sandbox:
        for number, (name, password, dc) in enumerate(
            [
                ("Ann", None, 2),
                ("Ben", PASSWORD, 2),
                ("Cleo", None, 1),
                ("Dan", PASSWORD, 1),
                ("Eve", None, 2),
            ]
        ):
            sandbox.world.add_user(
                name, phone=f"+1555080000{number}", password=password, hint="xkcd", dc=dc
            )
        yield sandbox


ANN, BEN, CLEO, DAN, EVE = (f"+1555080000{number}" for number in range(5))


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("qr")
    (directory / "tghub.sqlite3").write_bytes(migrated.read_bytes())
    hub = Hub(directory, telegram).start()
    yield hub
    hub.close()


def start(hub: Hub, name: str, **body: Any) -> dict[str, Any]:
    answer = hub.post(QR, {"username": name, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def look(hub: Hub, token: str) -> dict[str, Any]:
    answer = hub.get(f"{QR}/{token}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(hub: Hub, token: str, status: str) -> dict[str, Any]:
    return wait_until(
        lambda: (found := look(hub, token))["status"] == status and found, what=status
    )


def scan(hub: Hub, telegram: Sandbox, token: str, phone: str) -> None:
    telegram.accept_login_token(look(hub, token)["qr_url"], phone)


def log_in(hub: Hub, telegram: Sandbox, name: str, phone: str, **body: Any) -> str:
    token = start(hub, name, **body)["token"]
    scan(hub, telegram, token, phone)
    wait_for(hub, token, "success")
    return token


def age(hub: Hub, name: str, seconds: int) -> None:
    """Let `seconds` pass for the logins of a name."""
    with sqlite3.connect(hub.data_dir / "tghub.sqlite3", timeout=20) as database:
        changed = database.execute(
            "UPDATE scraper_qrlogin SET expires_at = datetime(expires_at, ?) WHERE name = ?",
            (f"-{seconds} seconds", name),
        )
        assert changed.rowcount


def test_the_code_is_scanned(hub: Hub, telegram: Sandbox) -> None:
    begun = start(hub, "ann")
    assert list(begun) == ["token", "qr_url", "message"]
    assert begun["qr_url"].startswith("tg://login?token=")
    assert len(begun["token"]) >= 32
    pending = look(hub, begun["token"])
    assert list(pending) == ["status", "username", "qr_url", "error", "message"]
    assert (pending["status"], pending["username"]) == ("pending", "ann")
    assert pending["qr_url"] == begun["qr_url"]
    assert "ann" not in [each["session_id"] for each in hub.get("/sessions").json()["sessions"]]
    telegram.accept_login_token(begun["qr_url"], ANN)
    done = wait_for(hub, begun["token"], "success")
    assert (done["qr_url"], done["error"]) == (None, None)
    hub.wait_connected("ann")
    status = hub.status("ann")
    assert status["is_authenticated"] and status["user_info"]["first_name"] == "Ann"
    assert len(auth_keys(telegram, ANN)) == 1
    found = hub.get("/api/v3/search/dialogs", headers={"X-Telegram-Username": "ann"})
    assert found.status_code == 200


def test_nobody_has_to_look_while_it_is_scanned(hub: Hub, telegram: Sandbox) -> None:
    begun = start(hub, "unwatched")
    telegram.accept_login_token(begun["qr_url"], EVE)
    wait_until(lambda: hub.status("unwatched").get("is_authenticated"), what="it is logged in")
    assert look(hub, begun["token"])["status"] == "success"
    assert hub.delete("/session/unwatched").status_code == 200


def test_the_account_lives_on_another_data_centre(hub: Hub, telegram: Sandbox) -> None:
    log_in(hub, telegram, "cleo", CLEO)
    hub.wait_connected("cleo")
    assert hub.status("cleo")["user_info"]["first_name"] == "Cleo"


def test_the_code_is_drawn(hub: Hub) -> None:
    token = start(hub, "drawn")["token"]
    svg = hub.get(f"{QR}/{token}.svg", headers={"Accept": "image/avif,image/*"})
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert ElementTree.fromstring(svg.content).tag.endswith("svg")
    png = hub.get(f"{QR}/{token}.png")
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    assert png.content.startswith(b"\x89PNG")
    assert png.headers["cache-control"] == "no-store"
    assert hub.get(f"{QR}/nonsense.png").status_code == 404
    assert hub.delete(f"{QR}/{token}").json() == {"status": "cancelled"}


def test_a_name_in_any_script(hub: Hub, telegram: Sandbox) -> None:
    log_in(hub, telegram, "Анна", EVE)
    headers = {"X-Telegram-Username": "Анна".encode()}
    for path in ("search/dialogs", "folders", "history/me"):
        answer = hub.get(f"/api/v3/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
    assert hub.delete("/session/Анна").status_code == 200


def test_a_token_is_renewed_before_it_expires(hub: Hub, telegram: Sandbox) -> None:
    usual = telegram.world.limits
    telegram.world.limits = dataclasses.replace(usual, login_token_seconds=7)
    try:
        begun = start(hub, "renewed")
        fresh = wait_until(
            lambda: (url := look(hub, begun["token"])["qr_url"]) != begun["qr_url"] and url,
            what="a fresh code",
        )
    finally:
        telegram.world.limits = usual
    telegram.accept_login_token(fresh, EVE)
    wait_for(hub, begun["token"], "success")
    assert hub.delete("/session/renewed").status_code == 200


@pytest.mark.parametrize("phone", [BEN, DAN])
def test_two_factor_password(hub: Hub, telegram: Sandbox, phone: str) -> None:
    name = f"two{phone}"
    token = start(hub, name)["token"]
    early = hub.post(f"{QR}/{token}/2fa", {"password": PASSWORD})
    assert (early.status_code, early.json()["code"]) == (409, "password_not_needed")
    scan(hub, telegram, token, phone)
    waiting = wait_for(hub, token, "password_required")
    assert "xkcd" in waiting["message"] and waiting["qr_url"] is None
    assert hub.get(f"{QR}/{token}.svg").status_code == 409
    wrong = hub.post(f"{QR}/{token}/2fa", {"password": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "password_hash_invalid")
    assert hub.post(f"{QR}/{token}/2fa", {}).json()["errors"].keys() == {"password"}
    done = hub.post(f"{QR}/{token}/2fa", {"password": PASSWORD})
    assert (done.status_code, done.json()["status"]) == (200, "success")
    again = hub.post(f"{QR}/{token}/2fa", {"password": PASSWORD})
    assert again.status_code == 409
    hub.wait_connected(name)
    assert PASSWORD not in hub.log()


def test_cancel(hub: Hub) -> None:
    token = start(hub, "cancelled")["token"]
    assert hub.delete(f"{QR}/{token}").json() == {"status": "cancelled"}
    for answer in (
        hub.get(f"{QR}/{token}"),
        hub.get(f"{QR}/{token}.svg"),
        hub.delete(f"{QR}/{token}"),
        hub.post(f"{QR}/{token}/2fa", {"password": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "qr_login_not_found")
    assert hub.get("/session/cancelled/status").status_code == 404


def test_it_lapses_after_five_minutes(hub: Hub) -> None:
    token = start(hub, "slow")["token"]
    age(hub, "slow", 270)
    assert look(hub, token)["status"] == "pending"
    age(hub, "slow", 31)
    expired = look(hub, token)
    assert (expired["status"], expired["qr_url"], expired["error"]) == ("expired", None, None)
    age(hub, "slow", 570)
    assert look(hub, token)["status"] == "expired"
    age(hub, "slow", 31)
    assert hub.get(f"{QR}/{token}").status_code == 404


def test_the_password_may_take_two_minutes(hub: Hub, telegram: Sandbox) -> None:
    token = start(hub, "forgetful")["token"]
    scan(hub, telegram, token, BEN)
    wait_for(hub, token, "password_required")
    age(hub, "forgetful", 121)
    late = hub.post(f"{QR}/{token}/2fa", {"password": PASSWORD})
    assert (late.status_code, late.json()["code"]) == (409, "password_not_needed")
    assert look(hub, token)["status"] == "expired"


def test_logged_in_already(hub: Hub, telegram: Sandbox) -> None:
    hub.log_in("known", EVE, telegram.login_code)
    refused = hub.post(QR, {"username": "known"})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_exists")
    before = auth_keys(telegram, EVE)
    token = start(hub, "known", force=True)["token"]
    # The old login works until the new one does.
    assert hub.status("known")["is_authenticated"] is True
    assert hub.delete(f"{QR}/{token}").status_code == 200
    assert hub.status("known")["is_authenticated"] is True
    log_in(hub, telegram, "known", EVE, force=True)
    after = auth_keys(telegram, EVE)
    assert len(after) == 1 and after != before
    hub.wait_connected("known")
    assert hub.delete("/session/known").status_code == 200


def test_another_account_under_an_old_name(hub: Hub, telegram: Sandbox) -> None:
    hub.log_in("changing", EVE, telegram.login_code)
    log_in(hub, telegram, "changing", ANN, force=True)
    assert hub.status("changing")["user_info"]["first_name"] == "Ann"
    assert auth_keys(telegram, EVE) == []


def test_the_phone_was_faster(hub: Hub, telegram: Sandbox) -> None:
    token = start(hub, "raced")["token"]
    hub.log_in("raced", EVE, telegram.login_code)
    scan(hub, telegram, token, ANN)
    failed = wait_for(hub, token, "error")
    assert failed["error"] == "session_exists"
    assert hub.status("raced")["user_info"]["first_name"] == "Eve"
    assert hub.delete("/session/raced").status_code == 200


def test_a_second_start_takes_the_place_of_the_first(hub: Hub) -> None:
    first, second = start(hub, "twice")["token"], start(hub, "twice")["token"]
    assert (look(hub, first)["status"], look(hub, first)["error"]) == ("error", "superseded")
    assert look(hub, second)["status"] == "pending"
    assert hub.delete(f"{QR}/{second}").status_code == 200


def test_how_many_may_be_under_way(hub: Hub) -> None:
    tokens = [start(hub, f"many{number}")["token"] for number in range(10)]
    refused = hub.post(QR, {"username": "one too many"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_qr_logins")
    assert 0 < int(refused.headers["retry-after"]) <= 300
    for token in tokens:
        assert hub.delete(f"{QR}/{token}").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": ""},
        {"username": "a/b"},
        {"username": " outer"},
        {"username": "x" * 65},
        {"username": 5},
        {"username": "fine", "force": "perhaps"},
    ],
)
def test_refused_input(hub: Hub, body: dict[str, Any]) -> None:
    answer = hub.post(QR, body)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) <= {"username", "force"}


def test_the_hub_is_killed_while_the_code_is_shown(hub: Hub, telegram: Sandbox) -> None:
    asleep, awake = start(hub, "asleep"), start(hub, "awake")["token"]
    hub.kill()
    # This one is scanned while nobody is there.
    telegram.accept_login_token(asleep["qr_url"], ANN)
    hub.start()
    wait_for(hub, asleep["token"], "success")
    scan(hub, telegram, awake, EVE)
    wait_for(hub, awake, "success")
    assert hub.status("asleep")["user_info"]["first_name"] == "Ann"
    assert hub.status("awake")["user_info"]["first_name"] == "Eve"


def test_the_hub_is_killed_before_the_password(hub: Hub, telegram: Sandbox) -> None:
    token = start(hub, "halfway")["token"]
    scan(hub, telegram, token, BEN)
    wait_for(hub, token, "password_required")
    hub.kill()
    hub.start()
    done = hub.post(f"{QR}/{token}/2fa", {"password": PASSWORD})
    assert (done.status_code, done.json()["status"]) == (200, "success")


def test_nothing_secret_is_logged(hub: Hub) -> None:
    log = hub.log()
    assert "tg://login" not in log
