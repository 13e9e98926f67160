"""Error texts in Russian: whole ones, ones with values, and none that was forgotten."""

from pathlib import Path

import pytest
from django.utils import translation

from core.errors import BadRequest, TooManyRequests, ValidationFailed, to_response_parts
from core.texts import error_texts
from core.translations import LOCALE, catalogue, translated
from engine.errors import FloodWait, from_rpc

ROOT = Path(__file__).resolve().parent.parent.parent
SETTLED = ("core", "accounts", "engine", "sessions_app")


def test_it_works():
    with translation.override("ru"):
        assert translated("Too many requests.") == "Слишком много запросов."
    with translation.override("en"):
        assert translated("Too many requests.") == "Too many requests."
    with translation.override("ru-RU"):
        assert translated("Too many requests.") == "Слишком много запросов."


def test_texts_with_values():
    with translation.override("ru"):
        assert to_response_parts(FloodWait(seconds=30)).body["detail"] == (
            "Telegram просит подождать 30 с."
        )
        assert to_response_parts(from_rpc(400, "QUIZ_ANSWER_MISSING")).body["detail"] == (
            "Telegram ответил QUIZ_ANSWER_MISSING."
        )
        assert "«send»" in translated("The key lacks the scope 'send'.")
        assert translated("In open mode the hub answers this machine only.") == (
            "В открытом режиме хаб отвечает только этой машине."
        )


def test_codes_and_headers_stay():
    with translation.override("ru"):
        parts = to_response_parts(TooManyRequests("Too many requests.", retry_after=3))
    assert parts.body["code"] == "throttled"
    assert parts.headers["Retry-After"] == "3"


def test_validation_errors_by_field():
    errors = {"chat_id": ["A chat is named by an id, a username, a link or 'me'."]}
    with translation.override("ru"):
        body = to_response_parts(ValidationFailed(errors)).body
    assert body["errors"]["chat_id"][0].startswith("Чат задаётся")
    assert body["detail"].startswith("chat_id: Чат задаётся")


def test_a_text_that_nobody_translated_stays():
    with translation.override("ru"):
        assert to_response_parts(BadRequest("Nobody wrote this: x.")).body["detail"] == (
            "Nobody wrote this: x."
        )


def test_every_text_is_translated():
    known = catalogue("ru")
    texts = dict(error_texts(*(ROOT / room for room in SETTLED)))
    assert len(texts) > 150
    assert {text: place for text, place in texts.items() if text not in known} == {}


def test_the_compiled_catalogue_is_the_written_one():
    written = (LOCALE / "ru" / "LC_MESSAGES" / "django.po").read_text()
    assert written.count("\nmsgid ") - 1 == len(catalogue("ru"))


@pytest.mark.parametrize("name", ["ru"])
def test_placeholders_are_kept(name):
    import re

    for key, text in catalogue(name).items():
        assert sorted(re.findall(r"\{\w*\}", key)) == sorted(re.findall(r"\{\w*\}", text))
