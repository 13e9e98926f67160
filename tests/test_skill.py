"""Every command of SKILL.md does what the file says of it."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from sandbox import Sandbox
from tests.curl import run_curl
from tests.hub import ROOT, Hub, wait_until

DEMO, PASSWORD = "+15550000001", "the cloud password"
TEXT = (ROOT / "SKILL.md").read_text()


def commands() -> list[str]:
    """The lines of every shell block, in order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as sandbox:
        sandbox.world.set_password(DEMO, PASSWORD)
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("skill")
    (directory / "tghub.sqlite3").write_bytes(migrated.read_bytes())
    hub = Hub(directory, telegram).start()
    yield hub
    hub.close()


def test_the_hub_serves_it(hub: Hub) -> None:
    answer = hub.get("/skill.md")
    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    refused = hub.post("/skill.md")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")


def test_every_command_works(hub: Hub, telegram: Sandbox) -> None:
    world = telegram.world
    demo = world.by_phone(DEMO)
    chat = world.add_channel("Skills", demo, username="skills_channel", date=1704700000)
    for number in range(5):
        world.post(chat, chat, f"the hello {number}", date=1705000000 + number)
    photo = world.add_photo(width=64, height=64, look=1, date=1705000100)
    world.post(chat, chat, "look", media=photo, date=1705000100)
    variables = {"KEY": "none", "CHAT": str(chat.peer)}
    ran = 0
    for line in commands():
        if not line.startswith("curl"):
            name, _, value = line.partition("=")
            variables[name] = value.strip('"')
            continue
        answer = run_curl(line, base=hub.url, variables=variables)
        assert answer.status_code in (200, 201, 202), (line, answer.text[:500])
        assert "$" not in str(answer.request.url), line
        ran += 1
        path = answer.request.url.path
        if path.endswith("/auth/qr"):
            variables["TOKEN"] = answer.json()["token"]
            code = answer.json()["qr_url"]
        elif line == 'curl "$BASE/auth/qr/$TOKEN"':
            assert answer.json()["status"] == "pending"
            telegram.accept_login_token(code, DEMO)
            token = variables["TOKEN"]
            wait_until(
                lambda url=f"/api/v3/auth/qr/{token}": (
                    hub.get(url).json()["status"] == "password_required"
                )
            )
        elif path.endswith("/2fa"):
            assert answer.json()["status"] == "success"
            hub.wait_connected("john_doe")
        elif "/history/" in path:
            assert "event: end" in answer.text
            found = re.search(r'"uuid":"([^"]+)"', answer.text)
            if found:
                variables["UUID"] = found.group(1)
        elif path.endswith("/jobs") and answer.status_code == 201:
            variables["JOB"] = str(answer.json()["id"])
        elif "/export/" in path:
            assert line.endswith(".zip")
            with ZipFile(BytesIO(answer.content)) as export:
                assert export.namelist() == ["messages.jsonl", "manifest.json"]
        elif "/files/" in path:
            assert answer.content.startswith(b"\xff\xd8")
    assert ran == TEXT.count("\ncurl ")


def test_the_parameters_are_the_schema_s(hub: Hub) -> None:
    paths = hub.get("/api/schema?format=json").json()["paths"]
    told = {each["name"] for each in paths["/api/v3/search/dialogs"]["get"]["parameters"]}
    for name in told - {"user", "X-Telegram-Username"}:
        prefix, _, rest = name.partition("_")
        family = f"`{prefix}_`" in TEXT or f"`{name.rpartition('_')[0]}_`" in TEXT
        assert f"`{name}`" in TEXT or f"{name}=" in TEXT or (family and rest), name
