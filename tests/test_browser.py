"""The pages, as a person sees them in Chromium.

Run by `make test-browser`; without Chromium it fails and says what is missing.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox import Sandbox
from tests.hub import Hub, user_id

pytestmark = pytest.mark.browser

PASSWORD = "a long admin password"
PHONE = "+15550800001"
# Redoc's own logo, from its maker's server, which the content security policy refuses; and the
# refusal that the lock-out test provokes.
ALLOWED_CONSOLE = re.compile(r"cdn\.redoc\.ly|status of 429")


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    hub = make_hub().start()
    hub.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    hub.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "")
    return hub


@pytest.fixture
def page(browser: Browser, hub: Hub, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen; a picture of its end is kept."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and not ALLOWED_CONSOLE.search(message.text)
            else None
        ),
    )
    yield page
    pictures = Path("test-results")
    pictures.mkdir(exist_ok=True)
    page.screenshot(path=pictures / f"{request.node.name}.png", full_page=True)
    page.close()
    assert errors == []


def enter(page: Page, hub: Hub) -> None:
    page.goto(f"{hub.url}/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    expect(page.locator("#site-name")).to_have_text("tghub")


def log_in(hub: Hub, telegram: Sandbox, name: str = "sam", phone: str = PHONE) -> None:
    telegram.world.add_user(phone=phone, first_name="Sam", username=f"sam_{phone[-4:]}")
    hub.log_in(name, phone, telegram.login_code)


def sessions(page: Page, hub: Hub) -> None:
    page.goto(f"{hub.url}/admin/sessions_app/telegramsession/")


def act(page: Page, name: str, action: str) -> None:
    """Choose one session and an action for it."""
    page.locator("#result_list tr", has=page.get_by_role("link", name=name, exact=True)).locator(
        "input.action-select"
    ).check()
    page.select_option("select[name=action]", label=action)
    page.get_by_role(
        "button", name="Run" if page.get_by_role("button", name="Run").count() else "Go"
    ).click()


def test_the_sessions_and_what_can_be_done_with_them(
    page: Page, hub: Hub, telegram: Sandbox
) -> None:
    log_in(hub, telegram)
    enter(page, hub)
    sessions(page, hub)
    row = page.locator("#result_list tbody tr")
    expect(row).to_contain_text("sam")
    expect(row).to_contain_text("local")
    expect(row).to_contain_text("logged in")
    expect(row).to_contain_text("connected")
    options = page.locator("select[name=action] option").all_inner_texts()
    reconnect = next(text for text in options if text.startswith("Reconnect"))
    act(page, "sam", reconnect)
    expect(page.locator(".messagelist")).to_be_visible()
    page.get_by_role("button", name="Restore all").click()
    expect(page.locator(".messagelist")).to_contain_text("1")
    page.get_by_role("link", name="sam", exact=True).click()
    expect(page.locator("#content")).to_contain_text("sam")
    assert "auth_key" not in page.content()


def test_a_session_is_destroyed_only_after_a_confirmation(
    page: Page, hub: Hub, telegram: Sandbox
) -> None:
    log_in(hub, telegram)
    log_in(hub, telegram, "tom", "+15550800002")
    enter(page, hub)
    sessions(page, hub)
    options = page.locator("select[name=action] option").all_inner_texts()
    destroy = next(text for text in options if text.startswith("Destroy"))
    act(page, "sam", destroy)
    expect(page.locator("#content")).to_contain_text("sam")
    expect(page.locator("#content")).not_to_contain_text("tom")
    assert len(telegram.world.authorizations_of(user_id(telegram, PHONE))) == 1
    page.locator("#content input[type=submit]").click()
    expect(page.locator(".messagelist")).to_be_visible()
    expect(page.locator("#result_list")).not_to_contain_text("sam")
    expect(page.locator("#result_list")).to_contain_text("tom")
    assert telegram.world.authorizations_of(user_id(telegram, PHONE)) == []


def test_logging_out_keeps_the_row(page: Page, hub: Hub, telegram: Sandbox) -> None:
    log_in(hub, telegram)
    enter(page, hub)
    sessions(page, hub)
    options = page.locator("select[name=action] option").all_inner_texts()
    act(page, "sam", next(text for text in options if text.startswith("Log out")))
    page.locator("#content input[type=submit]").click()
    expect(page.locator("#result_list")).to_contain_text("logged out")


def test_an_api_key_is_shown_once(page: Page, hub: Hub) -> None:
    enter(page, hub)
    page.goto(f"{hub.url}/admin/accounts/apikey/add/")
    page.fill("#id_name", "laptop")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-results__option", has_text="admin").click()
    page.locator("input[name=scopes]").first.check()
    page.locator("input[name=_save]").click()
    expect(page.locator(".messagelist")).to_contain_text("tgh_")
    shown = page.locator(".messagelist").inner_text()
    key = re.search(r"tgh_[A-Za-z0-9]{8}_[\w-]{43}", shown)
    assert key is not None
    assert hub.get("/sessions", headers={"Authorization": f"Bearer {key[0]}"}).status_code == 200
    page.goto(f"{hub.url}/admin/accounts/apikey/")
    assert key[0].split("_", 2)[2] not in page.content()
    page.locator("#result_list tbody th a").first.click()
    assert key[0].split("_", 2)[2] not in page.content()


def test_a_wrong_password_locks_after_five_tries(page: Page, hub: Hub) -> None:
    page.goto(f"{hub.url}/admin/")
    statuses = []
    page.on(
        "response",
        lambda answer: statuses.append(answer.status) if answer.request.method == "POST" else None,
    )
    for _ in range(6):
        page.goto(f"{hub.url}/admin/login/")
        if page.locator("#id_username").count() == 0:
            break
        page.fill("#id_username", "admin")
        page.fill("#id_password", "wrong")
        page.click("[type=submit]")
    assert statuses[-1] in (403, 429)
    page.goto("about:blank")


def test_the_api_docs(page: Page, hub: Hub) -> None:
    page.goto(f"{hub.url}/docs")
    expect(page.locator("body")).to_contain_text("/message/send")
    page.goto(f"{hub.url}/redoc")
    expect(page.locator("h1").first).to_contain_text("tghub")
