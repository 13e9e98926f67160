"""Search over the cache, on both databases."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scraper.words import marks, parse, words_of

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]

DAY = 86_400
START = 1_735_689_600  # 2025-01-01


def message(number: int, text: str, **facts: Any) -> dict[str, Any]:
    day = 1 + (number - 1) % 28
    return {
        "message_id": number,
        "date": f"2025-01-{day:02d} 12:00:00",
        "sender_id": 7,
        "first_name": None,
        "last_name": None,
        "username": None,
        "message": text,
        "media": None,
        "reply_to": None,
        "post_author": None,
        "is_forwarded": 0,
        "forwarded_from_channel_id": None,
        **facts,
    }


class Library:
    """A session that may read some chats of the cache."""

    def __init__(self) -> None:
        from sessions_app.tests.helpers import make_session

        self.session = make_session()
        self.numbers = itertools.count(-1_000_000_000_100, -1)

    def chat(self, *texts: str, title: str = "Chat", min_id: int = 0, granted: bool = True) -> Any:
        from django.utils import timezone

        from scraper.models import Chat, ChatAccess

        chat = Chat.objects.create(peer_id=next(self.numbers), type="channel", title=title)
        if granted:
            ChatAccess.objects.create(
                account=self.session.account,
                chat=chat,
                member=True,
                min_id=min_id,
                checked_at=timezone.now(),
            )
        self.store(chat, *(message(n, text) for n, text in enumerate(texts, 1)))
        return chat

    def store(self, chat: Any, *messages: Any) -> None:
        from scraper import store

        page = store.Page(store.scope_of(chat), self.session.account_id, list(messages))
        store.submit(page).result(30)

    def find(self, q: str, **query: Any) -> list[str]:
        return [each["message"] for each in self.answer(q, **query)["results"]]

    def answer(self, q: str, **query: Any) -> dict[str, Any]:
        from scraper.cache_search import CacheQuery, search

        return search(self.session, CacheQuery(q, **query))


@pytest.fixture
def library(transactional_db: None) -> Iterator[Library]:
    from core.writer import writer
    from scraper import loop

    yield Library()
    # Their threads keep connections, which PostgreSQL counts.
    loop.stop()
    writer.stop()


def test_it_works(library: Library) -> None:
    chat = library.chat("the quick brown fox", "a lazy dog", "quick quick quick", title="Zoo")
    answer = library.answer("quick")
    assert [each["message"] for each in answer["results"]] == [
        "quick quick quick",
        "the quick brown fox",
    ]
    assert answer["total"] == 2
    hit = answer["results"][1]
    assert (hit["dialog_id"], hit["dialog_name"]) == (chat.peer_id, "Zoo")
    assert hit["highlight"] == "the <mark>quick</mark> brown fox"


QUERIES = [
    ("quick fox", 1),
    ('"brown fox"', 1),
    ('"fox brown"', 0),
    ("qui*", 2),
    ("qui", 0),
    ("quick -brown", 1),
    ("-quick", 0),
    ("QUICK", 2),
    ("ünïcode", 1),
    ("unicode", 1),
    ("STRASSE", 1),
    ("Привет", 1),
    ("привет мир", 1),
    ("東京", 2),
    ("京都", 1),
    ("東京都", 1),
    ("京", 2),
    ("都庁", 1),
    ("京庁", 0),
    ("한국", 1),
    ("国어", 0),
    ("สวัสดี", 1),
    ("سلام", 1),
    ("हिन्दी", 1),
    ("カタカナ", 1),
    ("ｶﾀｶﾅ", 1),
]


def test_queries(library: Library) -> None:
    library.chat(
        "the quick brown fox",
        "quick",
        "Ünïcode Straße",
        "Привет, мир!",
        "東京都庁へ",
        "東京",
        "한국어",
        "สวัสดีครับ",
        "سلام دنیا",
        "हिन्दी में",
        "カタカナ",
    )
    for query, count in QUERIES:
        assert len(library.find(query)) == count, query


HOSTILE = [
    'foo"bar',
    "NEAR(",
    "*",
    "col:x",
    "-x",
    "",
    "   ",
    '"',
    '""',
    "AND OR NOT",
    "(a",
    "a) b",
    "a & | ! b",
    "'; DROP TABLE scraper_message; --",
    "a:*b",
    "\\",
    "'",
    "\x00",
    "\ud800",
    "^a",
    "{a b}: c",
    "%_%",
    "a" * 5000,
    "🦊",
]


def test_malformed_queries_find_nothing(library: Library) -> None:
    library.chat("harmless text")
    for query in HOSTILE:
        assert library.find(query) == [], query


def test_scripts_with_signs_and_styles(library: Library) -> None:
    texts = ["हिन्दी की किताब", "हिन्दी का घर", "مُحَمَّد", "𝗕𝗥𝗘𝗔𝗞𝗜𝗡𝗚 news", "বাংলা"]
    library.chat(*texts)
    assert library.find("की") == ["हिन्दी की किताब"]
    assert sorted(library.find("हिन्दी")) == sorted(texts[:2])
    assert library.find("محمد") == library.find("مُحَمَّد") == ["مُحَمَّد"]
    assert library.find("বাংলা") == ["বাংলা"]
    [hindi] = library.answer("की")["results"]
    assert hindi["highlight"] == "हिन्दी <mark>की</mark> किताब"
    [styled] = library.answer("breaking")["results"]
    assert styled["highlight"] == "<mark>𝗕𝗥𝗘𝗔𝗞𝗜𝗡𝗚</mark> news"


def test_any_query_is_safe(library: Library) -> None:
    library.chat("some words 東京 to look for", "x")

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.text(max_size=60))
    def check(query: str) -> None:
        library.find(query)

    check()


@given(st.text(max_size=80))
def test_every_text_is_found_by_its_own_words(text: str) -> None:
    words = words_of(text)
    assert all(word and "'" not in word and '"' not in word for word in words)
    for start, end in marks(text, parse(text)):
        assert 0 <= start < end <= len(text)


def test_edits_and_deletions(library: Library) -> None:
    from scraper import forgetting, store

    chat = library.chat("old text", "other")
    assert library.find("old")
    edited = message(1, "new text", edit_date="2025-02-01 10:00:00")
    library.store(chat, edited)
    assert library.find("old") == []
    assert library.find("new") == ["new text"]
    from core.writer import writer

    writer.submit(lambda: store.mark_deleted(store.scope_of(chat), [1])).result(30)
    assert library.find("new") == []
    assert library.find("new", include_deleted=True) == ["new text"]
    forgetting.forget_chat(chat)
    assert library.find("other") == []


def test_only_what_is_new_or_edited_is_indexed(library: Library) -> None:
    from django.db import connection

    def waiting() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT message_id FROM scraper_messagechanged ORDER BY message_id")
            return [row[0] & 0xFFFFFFFF for row in cursor.fetchall()]

    chat = library.chat("one", "two", "")
    assert waiting() == [1, 2]
    assert library.find("one") == ["one"]
    edited = message(2, "zwei", edit_date="2025-02-01 10:00:00")
    library.store(chat, message(1, "one"), edited, message(4, "four"))
    assert waiting() == [2, 4]
    assert library.find("four") == ["four"]
    library.store(chat, message(1, "one"), edited, message(4, "four"))
    assert waiting() == []


def test_filters(library: Library) -> None:
    photo = {"type": "MessageMediaPhoto", "uuid": None, "filename": None, "size": None}
    one, two = library.chat(title="One"), library.chat(title="Two")
    library.store(one, *(message(n, f"word {n}", sender_id=n) for n in range(1, 29)))
    library.store(two, message(1, "word in two", media=photo))
    assert len(library.find("word", limit=100)) == 29
    assert library.find("word", senders=[3, 4], sort="oldest") == ["word 3", "word 4"]
    period = {"start": START + 2 * DAY, "end": START + 4 * DAY - 1}
    assert library.find("word", **period, sort="newest") == ["word 4", "word 3"]
    assert library.find("word", media_types=["any"]) == ["word in two"]
    assert library.find("word", media_types=["MessageMediaPhoto"]) == ["word in two"]
    assert len(library.find("word", media_types=["none"], limit=100)) == 28
    assert library.find("word", chats=[str(two.peer_id)]) == ["word in two"]
    answer = library.answer("word", sort="oldest", limit=5, offset=10)
    assert answer["total"] == 29
    assert len(answer["results"]) == 5


def test_only_what_the_session_may_read(library: Library) -> None:
    from scraper.models import ChatAccess

    library.chat("canary in a foreign chat", granted=False)
    library.chat("canary before", "canary after", min_id=2)
    mine = library.chat("canary in mine")
    assert sorted(library.find("canary")) == ["canary after", "canary in mine"]
    ChatAccess.objects.filter(chat=mine).delete()
    assert library.find("canary") == ["canary after"]


def test_highlights_are_harmless(library: Library) -> None:
    library.chat("<script>alert(1)</script> needle & <img src=x onerror=alert(1)>")
    (hit,) = library.answer("needle script")["results"]
    assert "<script" not in hit["highlight"]
    assert "<img" not in hit["highlight"]
    assert "<mark>needle</mark> &amp; " in hit["highlight"]


def test_hostile_texts_are_indexed(library: Library) -> None:
    huge = "needle " + "東" * 20_000 + " x" * 20_000
    library.chat("nul \x00 needle", "half \ud800 needle", huge, "'quote\\' needle")
    assert len(library.find("needle")) == 4


def test_a_migration_that_rebuilds_the_table_keeps_the_index(library: Library) -> None:
    from django.db import connection

    from scraper import fulltext

    fulltext.after_migrate(using=connection.alias)
    library.chat("still found")
    assert library.find("found") == ["still found"]
