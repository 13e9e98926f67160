import pytest

from core import checks


def ids(messages):
    return [message.id for message in messages]


def test_it_works():
    for check in (checks.check_keyring, checks.check_open_mode, checks.check_origins):
        assert check() == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_open_mode_stays_on_this_machine(settings, host):
    settings.TGHUB_AUTH, settings.TGHUB_HOST = "open", host
    assert ids(checks.check_open_mode()) == ["core.E004"]
    settings.TGHUB_OPEN_ANYWHERE = True
    assert checks.check_open_mode() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_open_mode_on_loopback_is_well(settings, host):
    settings.TGHUB_AUTH, settings.TGHUB_HOST = "open", host
    assert checks.check_open_mode() == []


def test_keys_mode_binds_anywhere(settings):
    settings.TGHUB_HOST = "0.0.0.0"
    assert checks.check_open_mode() == []


def test_no_origin_is_a_wildcard(settings):
    settings.CORS_ALLOWED_ORIGINS = ["*"]
    assert ids(checks.check_origins()) == ["core.E005"]


def test_proxies_are_networks(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "nginx", "::1"]
    assert ids(checks.check_proxies()) == ["core.E006"]


@pytest.mark.parametrize("dc", ["garbage", "2@127.0.0.1:99999", "2@:443", "x@host:1"])
def test_the_telegram_server_can_be_read(settings, dc):
    settings.TELEGRAM = {"DC": dc}
    assert ids(checks.check_telegram_server()) == ["core.E007"]


def test_the_servers_key_can_be_read(settings, tmp_path):
    (tmp_path / "key.pem").write_text("no key")
    for path in (tmp_path / "key.pem", tmp_path / "missing.pem", tmp_path):
        settings.TELEGRAM = {"DC": "", "DC_PUBLIC_KEY": str(path)}
        assert ids(checks.check_telegram_server()) == ["core.E008"]


def test_without_tables_there_is_nothing_to_open(monkeypatch, db):
    from django.db import connection

    monkeypatch.setattr(connection.introspection, "table_names", lambda: [])
    assert checks.check_stored_secrets() == []
