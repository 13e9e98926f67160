"""Telegram's own search: pages, dates, senders, files, and what a session may not see."""

from typing import Any
from urllib.parse import quote

import pytest

URL = "/api/v3/search/messages"
DAY = 86_400
START = 1_704_067_200  # 2024-01-01


class Library:
    """Ann, her channel with 130 posts a day apart, and a group where Bea writes, too."""

    def __init__(self, rig: Any) -> None:
        from sessions_app.tests.helpers import make_client

        self.world, self.rig = rig.world, rig
        self.ann, self.bea = rig.person("Ann"), rig.person("Bea", username="bea_writes")
        self.channel = self.world.add_channel(
            "Book Reviews", self.ann, username="reviews", date=START
        )
        for number in range(130):
            self.world.post(
                self.channel, self.channel, f"review {number}", date=START + number * DAY
            )
        self.group = self.world.add_group("Readers", self.ann, [self.bea])
        self.world.post(self.ann, self.group, "a review of Ann's")
        self.world.post(self.bea, self.group, "a review of Bea's")
        self.session = rig.log_in(self.ann, "ann")
        self.client = make_client()

    def ask(self, query: str = "", dialog: object = "", status: int = 200) -> Any:
        where = f"/{quote(str(dialog), safe='')}" if dialog else ""
        answer = self.client.get(f"{URL}{where}?{query}", headers={"X-Telegram-Username": "ann"})
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def library(rig: Any) -> Any:
    return Library(rig)


def texts(body: Any) -> list[str]:
    return [found["message"] for found in body["results"]]


def test_it_works(library: Any) -> None:
    body = library.ask("q=review")
    assert list(body) == ["query", "total", "limit", "results"]
    assert (body["query"], body["limit"], len(body["results"])) == ("review", 100, 100)
    assert body["total"] == 132
    dates = [found["date"] for found in body["results"]]
    assert dates == sorted(dates, reverse=True)
    assert len(library.ask("q=review&limit=500")["results"]) == 132
    assert library.ask("q=nothing%20like%20it")["results"] == []
    one = library.ask("q=review%20129")["results"][0]
    assert (one["dialog_id"], one["dialog_name"]) == (library.channel.peer, "Book Reviews")
    assert not {"extra", "private"} & one.keys()

    for dialog in (library.channel.peer, "@reviews", "reviews", "https://t.me/reviews"):
        found = texts(library.ask("q=review&limit=130", dialog))
        assert found == [f"review {number}" for number in reversed(range(130))]
    library.rig.sandbox.calls.clear()
    assert len(library.ask("q=review&limit=101", "@reviews")["results"]) == 101
    assert library.rig.sandbox.calls.count("messages.search") == 2

    january = library.ask("q=review&start_date=2024-01-02&end_date=2024-01-03", "@reviews")
    assert texts(january) == ["review 2", "review 1"]
    moment = "q=review&start_date=2024-01-02%2000:00:00&end_date=2024-01-03%2000:00:00"
    assert texts(library.ask(moment)) == ["review 2", "review 1"]
    assert texts(library.ask("q=review&end_date=1969-01-01")) == []
    assert texts(library.ask("q=review&start_date=2050-01-01")) == []
    for end in ("2038-01-18", "2038-01-19", "9999-12-31"):
        assert library.ask(f"q=review&end_date={end}")["total"] == 132
        assert library.ask(f"q=review&end_date={end}", "@reviews")["total"] == 130

    group = library.group.peer
    assert texts(library.ask("q=review&from_user=@bea_writes", group)) == ["a review of Bea's"]
    assert texts(library.ask("q=review&from_user=me", group)) == ["a review of Ann's"]
    assert texts(library.ask(f"from_user={library.bea.id}&start_date=2020-01-01", group)) == [
        "a review of Bea's"
    ]


def test_a_file_that_was_found_can_be_fetched(library: Any) -> None:
    from scraper.models import Media
    from scraper.tests.web import Web, path_of

    photo = library.world.add_photo(width=64, height=64, look=1)
    library.world.post(library.channel, library.channel, "photograph for all", media=photo)
    library.world.post(library.bea, library.ann, "photograph in private", media=photo)
    found = library.ask("q=photograph")["results"]
    uuids = {hit["dialog_id"]: hit["media"]["uuid"] for hit in found}
    assert set(uuids) == {library.channel.peer, library.bea.id}
    assert len(set(uuids.values())) == 2
    assert Media.objects.count() == 2
    web = Web("alice")
    for uuid in uuids.values():
        answer = web.get(path_of(uuid), library.session)
        assert (answer.status, answer.body[:2]) == (200, b"\xff\xd8")
    # The history names it alike.
    history = library.rig.read(library.session, library.channel.peer).messages
    assert history[-1]["media"]["uuid"] == uuids[library.channel.peer]


def test_refusals(library: Any) -> None:
    for query, field in (
        ("", "q"),
        ("start_date=2024-01-01", "q"),
        ("q=", "q"),
        ("q=x&limit=0", "limit"),
        ("q=x&limit=501", "limit"),
        ("q=x&limit=ten", "limit"),
        ("q=x&start_date=yesterday", "start_date"),
        ("q=x&end_date=2024-02-30", "end_date"),
        ("q=x&start_date=2024-01-02&end_date=2024-01-01", "start_date"),
        ("q=" + "x" * 1025, "q"),
    ):
        for dialog in ("", "@reviews"):
            assert list(library.ask(query, dialog, 400)["errors"]) == [field], query
    assert list(library.ask("q=x&from_user=me", "", 400)["errors"]) == ["from_user"]
    closed = library.world.add_channel("Closed", library.bea)
    library.world.post(closed, closed, "review nobody sees")
    for dialog in ("@nobody_has_this", closed.peer, -1009999999999):
        assert library.ask("q=review", dialog, 404)["detail"]
    assert library.ask("q=review&from_user=@nobody_has_this", "@reviews", 404)["detail"]
    assert "review nobody sees" not in texts(library.ask("q=review&limit=500"))
    library.ask("q=x", "no such reference!", 400)


def test_a_flood_wait_is_told(library: Any) -> None:
    library.rig.sandbox.faults.fail("messages.searchGlobal", 420, "FLOOD_WAIT_30", times=1)
    answer = library.client.get(f"{URL}?q=x", headers={"X-Telegram-Username": "ann"})
    assert (answer.status_code, answer["Retry-After"]) == (429, "30")
    assert answer.json()["code"] == "flood_wait"
