import pytest

from accounts import callers
from accounts.callers import Caller, client_ip, identify, owner_for
from accounts.models import ALL_SCOPES, User
from accounts.tests.helpers import make_key, make_user
from core.errors import Forbidden, NotFound, Unauthorized

pytestmark = pytest.mark.django_db

HOST = "127.0.0.1:8000"


@pytest.fixture
def open_mode(settings):
    settings.TGHUB_AUTH = "open"


def ask(headers=None, peer="127.0.0.1", host=HOST, origin=None) -> Caller:
    return identify(headers or {}, peer, host, origin)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {} "},
        {"x-api-key": "{}"},
        {"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "{}"},
    ],
)
def test_it_works(headers):
    key, plaintext = make_key()
    caller = ask({name: value.format(plaintext) for name, value in headers.items()})
    assert caller.key == key


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": "Basic eDp5"},
        {"x-api-key": " "},
    ],
)
def test_it_refuses_without_a_key(headers):
    with pytest.raises(Unauthorized) as caught:
        ask(headers)
    assert caught.value.code == "missing_key"


def test_it_refuses_a_wrong_key():
    with pytest.raises(Unauthorized) as caught:
        ask({"x-api-key": "tgh_00000000_" + "a" * 43})
    assert caught.value.code == "wrong_key"


def test_the_first_header_counts():
    _, plaintext = make_key()
    with pytest.raises(Unauthorized):
        ask({"authorization": "Bearer nonsense", "x-api-key": plaintext})


def test_keys_mode_needs_a_key_from_loopback_too():
    with pytest.raises(Unauthorized):
        ask(peer="127.0.0.1")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.5", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_open_mode_serves_this_machine(open_mode, peer, host):
    caller = ask(peer=peer, host=host)
    assert caller.user.get_username() == "local"
    assert caller.scopes == ALL_SCOPES
    assert caller.key is None
    assert not caller.user.has_usable_password()


def test_open_mode_has_one_user(open_mode):
    assert ask().user == ask().user
    assert User.objects.count() == 1


def test_open_mode_takes_any_key(open_mode):
    assert ask({"x-api-key": "whatever"}).user.get_username() == "local"


@pytest.mark.parametrize("peer", ["192.168.0.7", "203.0.113.9", "10.0.0.1", "::2", None, ""])
def test_open_mode_refuses_other_machines(open_mode, peer):
    with pytest.raises(Forbidden) as caught:
        ask(peer=peer)
    assert caught.value.code == "open_mode_is_local"
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8000",
        "",
        "127.0.0.2",
        "0.0.0.0",
        "localhost@evil",
        "[::1",
        "::1",
        "127.0.0.1.",
        "localhost:80:80",
        "2130706433",
    ],
)
def test_open_mode_refuses_other_hosts(open_mode, host):
    """DNS rebinding brings a loopback peer with a foreign name."""
    with pytest.raises(Forbidden):
        ask(host=host)


@pytest.mark.parametrize(
    "name",
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "via",
        "cf-connecting-ip",
        "true-client-ip",
        "x-client-ip",
        "x-original-forwarded-for",
    ],
)
def test_open_mode_refuses_what_a_proxy_forwarded(open_mode, name):
    with pytest.raises(Forbidden):
        ask({name: "127.0.0.1"})


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1:8000.evil.example",
        "http://localhost:8000",
        "file://",
        "http://[bad",
        "chrome-extension://127.0.0.1:8000",
    ],
)
def test_open_mode_refuses_other_origins(open_mode, origin):
    with pytest.raises(Forbidden):
        ask(origin=origin)


def test_open_mode_serves_its_own_pages(open_mode, settings):
    ask(origin=f"http://{HOST}")
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
    ask(origin="http://localhost:3000")


def test_open_anywhere_lets_other_machines_in_but_no_foreign_page(open_mode, settings):
    settings.TGHUB_OPEN_ANYWHERE = True
    ask(peer="192.168.0.7", host="hub.lan:8000")
    with pytest.raises(Forbidden):
        ask(peer="192.168.0.7", host="hub.lan:8000", origin="https://evil.example")


def test_a_missing_scope_is_named():
    _, plaintext = make_key(scopes=["read"])
    caller = ask({"x-api-key": plaintext})
    caller.require("read")
    with pytest.raises(Forbidden) as caught:
        caller.require("send")
    assert caught.value.code == "missing_scope"
    assert "'send'" in caught.value.detail


def test_admin_includes_everything():
    _, plaintext = make_key(scopes=["admin"])
    caller = ask({"x-api-key": plaintext})
    assert caller.is_admin
    for scope in ALL_SCOPES:
        caller.require(scope)


def test_whose_sessions():
    alice, bob = make_user("alice"), make_user("bob")
    plain = Caller(alice, None, frozenset({"read"}))
    assert owner_for(plain, None) == owner_for(plain, "") == owner_for(plain, "alice") == alice
    with pytest.raises(Forbidden):
        owner_for(plain, "bob")
    with pytest.raises(Forbidden):
        owner_for(plain, "nobody")
    admin = Caller(alice, None, frozenset({"admin"}))
    assert owner_for(admin, "bob") == bob
    with pytest.raises(NotFound):
        owner_for(admin, "nobody")


def test_the_address_is_seen_through_trusted_proxies_only(rf, settings):
    request = rf.get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="203.0.113.7")
    assert client_ip(request) == "192.0.2.1"
    settings.TRUSTED_PROXIES = ["192.0.2.0/24"]
    assert client_ip(request) == "203.0.113.7"
    assert client_ip(rf.get("/", REMOTE_ADDR="")) is None


def test_a_caller_shows_no_secret():
    key, plaintext = make_key()
    text = repr(ask({"x-api-key": plaintext}))
    assert plaintext.split("_", 2)[2] not in text
    assert bytes(key.secret_sha256).hex() not in text
    assert callers.host_name("LocalHost:8000") == "localhost"
