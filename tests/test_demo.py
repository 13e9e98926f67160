"""`manage.py demo` and the commands of the README, as written there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.curl import run_curl
from tests.hub import ROOT
from tests.services import free_port


class Demo:
    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.printed = ""
        for line in self.process.stdout:
            self.printed += line
            if line.startswith("ready: "):
                break
        self.url = f"http://127.0.0.1:{port}"

    def close(self) -> int:
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()


@pytest.fixture
def demo() -> Iterator[Demo]:
    running = Demo(free_port())
    yield running
    if running.process.poll() is None:
        running.close()


def test_the_readme_line_by_line(demo: Demo) -> None:
    assert f"ready: {demo.url}" in demo.printed
    readme = (ROOT / "README.md").read_text()
    lines = re.findall(r"^curl .*$", readme, re.MULTILINE)
    assert len(lines) == 5
    [code] = re.findall(r'"sends" \+15550000003 the code (\d+)', demo.printed)
    answers = [run_curl(line.replace("CODE", code), base=demo.url) for line in lines]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert answers[0].json() == {"status": "healthy", "active_sessions": 1}
    assert answers[1].json()["sessions"][0]["session_id"] == "demo"
    assert answers[2].json()["message"] == "Message sent successfully"
    assert answers[4].json()["message"] == "Login successful"


def test_what_the_demo_prints_works(demo: Demo) -> None:
    lines = re.findall(r"^  (curl (?:.*\\\n)*.*)$", demo.printed, re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        answer = run_curl(line, base=demo.url)
        assert answer.status_code == 200, f"{line}: {answer.text}"
    assert re.search(r"API key +tgh_\w+", demo.printed)
    assert re.search(r"admin / \S+\)", demo.printed)


def test_the_demo_leaves_nothing_running(demo: Demo) -> None:
    import psutil

    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert children
    assert demo.close() == 0
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_the_hub_ends_with_a_demo_that_is_killed(demo: Demo) -> None:
    import psutil

    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert children
    demo.process.kill()
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    demo.close()


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_makefile_explains_itself() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "prove", "serve", "lint", "bench"):
        assert target in done.stdout
    assert Path(ROOT / ".ci/run").stat().st_mode & 0o100
