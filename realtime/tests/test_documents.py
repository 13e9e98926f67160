"""The AsyncAPI and OpenAPI documents say what there is."""

import re
from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator

from realtime.asyncapi import REQUESTS, document
from realtime.consumers import HANDLERS
from realtime.eventlog import KINDS
from realtime.shapes import EVENTS, event_schema


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document("hub.example")


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_it_is_served_to_everybody(client) -> None:
    answer = client.get("/api/asyncapi")
    assert answer.status_code == 200
    assert answer.json()["asyncapi"] == "3.0.0"
    assert answer.json() == document("testserver")
    assert client.post("/api/asyncapi").status_code == 405


def test_every_reference_leads_somewhere(found: dict[str, Any]) -> None:
    for reference in references(found):
        value: Any = found
        for step in reference.removeprefix("#/").split("/"):
            value = value[step]
        assert value
    for section in found["components"].values():
        assert all(re.fullmatch(r"[\w.-]+", name) for name in section)


def test_every_kind_and_every_event_is_there(found: dict[str, Any]) -> None:
    assert set(EVENTS) == set(KINDS)
    assert set(REQUESTS) == {*HANDLERS, "ping"}
    for kind in KINDS:
        for group in ("update", "event", "webhook"):
            assert f"{group}.{kind}" in found["components"]["messages"]


def test_every_schema_is_one(found: dict[str, Any]) -> None:
    for message in found["components"]["messages"].values():
        jsonschema.Draft202012Validator.check_schema(message["payload"])
    for kind in KINDS:
        jsonschema.Draft202012Validator.check_schema(event_schema(kind))


def test_every_kind_stands_in_the_docs() -> None:
    from django.conf import settings

    text = (settings.BASE_DIR / "docs/events.md").read_text()
    for kind in (*KINDS, "reset"):
        assert f"`{kind}`" in text, kind


def test_the_streams_stand_in_the_openapi_document() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    for path in ("/api/v3/history/{dialog_id}", "/api/v3/events"):
        operation = paths[path]["get"]
        assert "text/event-stream" in operation["responses"]["200"]["content"]
        assert {"400", "401", "403", "404", "429"} <= operation["responses"].keys()
