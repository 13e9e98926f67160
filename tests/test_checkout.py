"""What a checkout promises: complete examples, no secrets, no leftovers."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def variables_read() -> set[str]:
    """Every name that settings.py asks the environment for."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / "tghub/settings.py").read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = ast.unparse(node.func)
        if called == "env" or called.startswith("env.") or called == "_choice":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names.add(first.value)
    return names


def test_every_variable_stands_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert variables_read() == listed


def test_only_settings_read_the_environment() -> None:
    rooms = ("realtime", "scraper", "sessions_app", "accounts", "core", "engine")
    readers = [
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if "tests" not in path.parts and re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    assert readers == []


def test_locked_requirements_name_no_index() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--index" not in text and "--find-links" not in text
        pins = re.findall(r"^[a-z0-9][\w.\-\[\],]*==\S+ \\\n    --hash=", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))


def test_a_process_that_only_serves_the_web_imports_no_telethon() -> None:
    program = (
        "import django, sys; django.setup(); import tghub.urls, tghub.asgi; import engine; "
        "sys.exit('telethon' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
