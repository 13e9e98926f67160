"""dialogs: pages, folders, resolving, full chats."""

import pytest

from engine.errors import BadRequest
from engine.telegram import dialogs
from engine.telegram.rpc import Refusal, refused_with

SEED_FIELDS = [
    "id",
    "type",
    "title",
    "username",
    "is_creator",
    "is_verified",
    "is_archived",
    "message_count",
    "unread_count",
    "participants_count",
    "last_message_date",
    "last_message_preview",
    "created_date",
]
BORN = 1_600_000_000


@pytest.fixture
def kinds(telegram):
    """A dialog of each type that Alice has, by type."""
    world, alice, bob = telegram.world, telegram.alice, telegram.bob
    bot = world.add_bot("Helper", "helper_bot")
    world.post(bob, alice, "hello there", date=BORN + 10)
    world.post(bot, alice, "at your service", date=BORN + 20)
    world.post(alice, alice, "to do", date=BORN + 30)
    group = world.add_group("Family", bob, [alice], date=BORN + 40)
    club = world.add_channel("Club", bob, [alice], megagroup=True, date=BORN + 50)
    news = world.add_channel("News", alice, [bob], username="news", verified=True, date=BORN + 60)
    world.post(alice, news, "a post", date=BORN + 70)
    return {
        "user": bob.id,
        "bot": bot.id,
        "saved": alice.id,
        "group": group.peer,
        "supergroup": club.peer,
        "channel": news.peer,
    }


async def everything(client, **kwargs):
    found, offset = [], None
    while True:
        page = await dialogs.list_page(client, offset=offset, **kwargs)
        found += page["dialogs"]
        offset = page["next"]
        if offset is None:
            return found


async def test_it_works(telegram, client, kinds):
    page = await dialogs.list_page(client)
    by_type = {dialog["type"]: dialog for dialog in page["dialogs"]}
    assert {kind: dialog["id"] for kind, dialog in by_type.items()} == kinds
    assert all(list(dialog)[:13] == SEED_FIELDS for dialog in page["dialogs"])
    assert page["total"] == 6
    assert page["next"] is None
    news = by_type["channel"]
    assert news["title"] == "News"
    assert news["username"] == "news"
    assert (news["is_creator"], news["is_verified"]) == (True, True)
    assert news["message_count"] == 2
    assert news["last_message_preview"] == "a post"
    assert news["last_message_date"] == "2020-09-13T12:27:50+00:00"
    assert news["created_date"] == "2020-09-13T12:27:40+00:00"
    assert by_type["user"]["message_count"] is None
    assert by_type["user"]["participants_count"] is None
    assert by_type["user"]["unread_count"] == 1
    assert by_type["group"]["participants_count"] == 2
    assert by_type["group"]["last_message_preview"] == "[MessageActionChatCreate]"
    assert by_type["saved"]["title"] == "Saved Messages"


async def test_pages_hold_each_dialog_once(telegram, connect):
    world = telegram.world
    made = [
        world.add_channel(f"Channel {number}", telegram.alice, date=BORN + number)
        for number in range(23)
    ]
    world.pin_dialog(telegram.alice, made[3])
    world.archive(telegram.alice, made[5])
    client = await connect(telegram.alice)
    found = await everything(client, limit=5)
    assert sorted(dialog["id"] for dialog in found) == sorted(chat.peer for chat in made)
    assert found[0]["id"] == made[3].peer
    assert found[0]["extra"]["is_pinned"] is True
    assert [d["id"] for d in found if d["is_archived"]] == [made[5].peer]


async def test_the_archive_alone_and_without_it(telegram, client, kinds):
    telegram.world.archive(telegram.alice, kinds["group"])
    archived = await everything(client, archived=True)
    assert [dialog["type"] for dialog in archived] == ["group"]
    assert archived[0]["is_archived"] is True
    rest = await everything(client, archived=False)
    assert {dialog["type"] for dialog in rest} == set(kinds) - {"group"}


async def test_muted_and_marked(telegram, client, kinds):
    telegram.world.mute(telegram.alice, kinds["channel"])
    telegram.world.mark_unread(telegram.alice, kinds["channel"])
    (dialog,) = await dialogs.get_dialogs(client, chat_ids=["@news"])
    assert dialog["extra"]["muted_until"] > 2_000_000_000
    assert dialog["extra"]["unread_mark"] is True
    assert dialog["extra"]["pts"]


async def test_get_dialogs(telegram, client, kinds):
    found = await dialogs.get_dialogs(client, chat_ids=list(kinds.values()))
    assert {dialog["id"] for dialog in found} == set(kinds.values())
    with pytest.raises(BadRequest):
        await dialogs.get_dialogs(client, chat_ids=[])


async def test_resolve(telegram, client, kinds):
    for kind, chat_id in kinds.items():
        dialog = await dialogs.resolve(client, chat_id=chat_id)
        assert (dialog["id"], dialog["type"]) == (chat_id, kind)
    assert (await dialogs.resolve(client, chat_id="t.me/news"))["title"] == "News"
    assert (await dialogs.resolve(client, chat_id="me"))["type"] == "saved"


async def test_resolving_a_stranger(telegram, client):
    telegram.world.add_channel("Public", telegram.bob, username="public_place")
    dialog = await dialogs.resolve(client, chat_id="@public_place")
    assert dialog["extra"]["is_member"] is False
    with pytest.raises(Refusal) as caught:
        await dialogs.resolve(client, chat_id="@nobody_at_all")
    assert refused_with(caught.value, "USERNAME_NOT_OCCUPIED")


async def test_folders(telegram, client, kinds):
    telegram.world.add_folder(
        telegram.alice, "Work", [kinds["channel"]], pinned=[kinds["group"]], bots=True
    )
    default, work = await dialogs.list_folders(client)
    assert (default["id"], default["title"], default["is_default"]) == (0, "All Chats", True)
    assert (work["title"], work["is_default"], work["bots"]) == ("Work", False, True)
    assert work["included"] == [kinds["channel"]]
    assert work["pinned"] == [kinds["group"]]


async def test_full_chats(telegram, client, kinds):
    for kind in ("user", "group", "supergroup", "channel", "saved"):
        full = await dialogs.get_full(client, chat_id=kinds[kind])
        assert full["dialog"]["id"] == kinds[kind]
    channel = await dialogs.get_full(client, chat_id=kinds["channel"])
    assert channel["participants_count"] == 2
    assert channel["created_date"] == "2020-09-13T12:27:40+00:00"
    assert channel["available_min_id"] == 0
    group = await dialogs.get_full(client, chat_id=kinds["group"])
    assert group["participants_count"] == 2
    assert group["can_view_participants"] is True


async def test_hidden_prehistory_has_a_first_visible_message(telegram, client):
    world = telegram.world
    club = world.add_channel("Club", telegram.bob, megagroup=True, hidden_prehistory=True)
    for number in range(5):
        world.post(telegram.bob, club, f"before {number}")
    world.join(telegram.alice, club)
    full = await dialogs.get_full(client, chat_id=club.peer)
    assert full["available_min_id"] == 6


async def test_a_kick_is_refused(telegram, client, kinds):
    await dialogs.list_page(client)
    telegram.world.ban(kinds["supergroup"], telegram.alice)
    with pytest.raises(Refusal) as caught:
        await dialogs.get_full(client, chat_id=kinds["supergroup"])
    assert refused_with(caught.value, "CHANNEL_PRIVATE", "USER_BANNED_IN_CHANNEL")


async def test_a_group_that_grew(telegram, client, kinds):
    grown = telegram.world.migrate_group(kinds["group"])
    full = await dialogs.get_full(client, chat_id=grown.peer)
    assert full["migrated_from"] == kinds["group"]
    assert full["migrated_from_max_id"]
