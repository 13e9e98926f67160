"""Files that are scripts, opened in Chromium: nothing of them runs."""

import re

import pytest
from playwright.sync_api import Browser, Error

from sandbox import Sandbox
from tests.hub import Hub, wait_until
from tests.test_media import NAME, PHONE, newest_uuid

pytestmark = pytest.mark.browser

RUN = b"fetch('/ran');document.title='ran'"
HTML = b"http://www.w3.org/1999/xhtml"
POLYGLOTS = [
    (
        "x.svg",
        "image/svg+xml",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>%s</script></svg>",
    ),
    ("x.html", "text/html", b"<script>%s</script>"),
    ("x.xhtml", "application/xhtml+xml", b"<html xmlns='" + HTML + b"'><script>%s</script></html>"),
    ("x.gif", "image/gif", b"GIF89a/*<html><script>%s</script>*/=1;%s"),
    ("x.png", "image/png", b"<html><script>%s</script>"),
    ("x.mp4", "video/mp4", b"<html><script>%s</script>"),
    ("x.xml", "text/xml", b"<a xmlns='" + HTML + b"'><script>%s</script></a>"),
    ("x.txt", "text/plain", b"<html><script>%s</script>"),
]


def test_nothing_runs(telegram: Sandbox, hub: Hub, browser: Browser) -> None:
    world = telegram.world
    channel = world.add_channel("Harm", world.by_phone(PHONE))
    hub.log_in("ann", PHONE, telegram.login_code)
    page = browser.new_page(extra_http_headers=NAME)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    seen: str | None = None
    for name, kind, template in POLYGLOTS:
        document = world.add_document(template.replace(b"%s", RUN), name, kind)
        world.post(channel, channel, "", media=document)
        before = seen

        def fresh(before: str | None = before) -> str | None:
            uuid = newest_uuid(hub, channel.peer)
            return uuid if uuid != before else None

        seen = wait_until(fresh)
        try:
            page.goto(f"{hub.url}/api/v3/files/{seen}", wait_until="load")
        except Error as error:
            assert re.search("ERR_ABORTED|Download is starting", str(error)), error
        assert page.title() != "ran"
    assert len(asked) >= len(POLYGLOTS)
    assert not [url for url in asked if url.endswith("/ran")]
    page.close()
