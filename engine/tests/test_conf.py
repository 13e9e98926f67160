"""The engine's settings."""

from pathlib import Path

import pytest

from engine.conf import DataCenter, EngineSettings, parse_dc, read


def test_it_works(settings):
    settings.TELEGRAM = {
        "API_ID": 12,
        "API_HASH": "hash",
        "DC": "2@127.0.0.1:4430",
        "DC_PUBLIC_KEY": "/keys/dc.pem",
        "WORKERS": 3,
        "SOCKET": "/data/engine.sock",
    }
    assert read() == EngineSettings(
        api_id=12,
        api_hash="hash",
        dc=DataCenter(2, "127.0.0.1", 4430),
        dc_public_key=Path("/keys/dc.pem"),
        workers=3,
        socket=Path("/data/engine.sock"),
    )


def test_nothing_set_is_telegrams_production():
    assert read({}) == EngineSettings()
    assert read({"DC": "", "DC_PUBLIC_KEY": "", "WORKERS": 0}).dc is None


@pytest.mark.parametrize(
    ("text", "dc"),
    [
        ("1@example.org:443", DataCenter(1, "example.org", 443)),
        ("2@[::1]:80", DataCenter(2, "::1", 80)),
        ("", None),
    ],
)
def test_it_reads_an_address(text, dc):
    assert parse_dc(text) == dc


@pytest.mark.parametrize(
    "text", ["x", "2@host", "host:443", "2@:443", "2@::1:443", "2@h:0", "2@h:70000"]
)
def test_it_refuses_what_is_no_address(text):
    with pytest.raises(ValueError, match="dc id"):
        parse_dc(text)
