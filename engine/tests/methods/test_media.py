"""media: what a file is, its bytes from any place, and fresh references."""

import hashlib

import pytest
from telethon import types

from engine.errors import BadRequest, NotFound
from engine.telegram import convert, history, media
from engine.telegram.rpc import Refusal, refused_with
from sandbox.world.blobs import Blob

MEGABYTE = 1024 * 1024
BOB = "@bob_the_builder"


@pytest.fixture
def send(telegram, client):
    """Let Bob send Alice some media and return it as she sees it."""

    async def make(content):
        message = telegram.world.post(telegram.bob, telegram.alice, media=content)
        ids = [message.id_for(telegram.alice.id)]
        (found,) = await history.get_messages(client, chat_id=BOB, message_ids=ids)
        return found["media"]

    return make


async def read(client, found, **kwargs):
    stream = media.read_file(client, file=found["file"], **kwargs)
    return b"".join([part async for part in stream])


async def test_it_works(telegram, client, send):
    blob = Blob(3 * MEGABYTE + 77, 5)
    found = await send(telegram.world.add_document(blob, "data.bin"))
    assert (found["filename"], found["size"], found["uuid"]) == ("data.bin", blob.size, None)
    assert list(found) == ["type", "uuid", "filename", "size", "file"]
    data = await read(client, found)
    assert hashlib.sha256(data).digest() == hashlib.sha256(blob.read(0, blob.size)).digest()
    assert telegram.calls.count("upload.getFile") == 7


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 1),
        (0, 0),
        (1, 10),
        (524_287, 2),
        (524_288, 524_288),
        (1_000_000, None),
        (2 * MEGABYTE - 1, None),
        (2 * MEGABYTE, 5),
        (9 * MEGABYTE, None),
        (100, 50 * MEGABYTE),
    ],
)
async def test_ranges(telegram, client, send, offset, length):
    blob = Blob(2 * MEGABYTE, 6)
    found = await send(telegram.world.add_document(blob, "data.bin"))
    whole = blob.read(0, blob.size)
    end = None if length is None else offset + length
    assert await read(client, found, offset=offset, length=length) == whole[offset:end]


async def test_parts_are_in_flight_together_and_in_order(telegram, client, send):
    blob = Blob(8 * MEGABYTE, 7)
    found = await send(telegram.world.add_document(blob, "data.bin"))
    telegram.sandbox.faults.latency(0.02, jitter_seconds=0.05, method="upload.getFile")
    assert await read(client, found, parallel=8) == blob.read(0, blob.size)


async def test_declared_sizes_may_lie(telegram, client, send):
    blob = Blob(MEGABYTE + 5, 8)
    found = await send(telegram.world.add_document(blob, "data.bin"))
    whole = blob.read(0, blob.size)
    for lie in (1, 10 * MEGABYTE):
        found["file"]["size"] = lie
        assert await read(client, found) == whole


async def test_expired_references_are_refreshed_once(telegram, client, send):
    world = telegram.world
    document = await send(world.add_document(Blob(5 * MEGABYTE, 9), "data.bin"))
    photo = await send(world.add_photo())
    world.expire_file_references()
    telegram.calls.clear()
    assert len(await read(client, document)) == 5 * MEGABYTE
    assert telegram.calls.count("messages.getMessages") == 1
    assert len(await read(client, photo)) == photo["size"]
    fresh = await media.refresh_file(client, file=photo["file"])
    assert fresh["file_reference"] != photo["file"]["file_reference"]


async def test_a_reference_whose_message_is_gone(telegram, client, send):
    world = telegram.world
    found = await send(world.add_document(b"data", "a.bin"))
    world.delete(world.message(telegram.alice.id, telegram.bob.id, found["file"]["message_id"]))
    world.expire_file_references()
    with pytest.raises(NotFound) as caught:
        await read(client, found)
    assert caught.value.code == "media_not_found"


async def test_files_of_another_data_centre(telegram, client, send):
    blob = Blob(3 * MEGABYTE, 10)
    found = await send(telegram.world.add_document(blob, "far.bin", dc=1))
    assert found["file"]["dc_id"] == 1
    assert await read(client, found) == blob.read(0, blob.size)
    # A wrong guess is put right by FILE_MIGRATE.
    found["file"]["dc_id"] = 2
    assert await read(client, found) == blob.read(0, blob.size)


async def test_previews(telegram, client, send):
    found = await send(telegram.world.add_photo())
    (small, large) = found["file"]["thumbs"]
    assert found["size"] == large["size"]
    assert len(await read(client, found, thumb=small["type"])) == small["size"]
    with pytest.raises(NotFound):
        await read(client, found, thumb="z")


async def test_kinds(telegram, client, send):
    world = telegram.world
    sticker = types.DocumentAttributeSticker("x", types.InputStickerSetEmpty())
    round_one = types.DocumentAttributeVideo(3.0, 100, 100, round_message=True)
    gif = [types.DocumentAttributeVideo(3.0, 100, 100), types.DocumentAttributeAnimated()]
    for content, category, filename in (
        (world.add_photo(), "photos", "photo_{}.jpg"),
        (world.add_video(10), "videos", "video.mp4"),
        (world.add_voice(), "voice_messages", "voice_{}.ogg"),
        (
            world.add_document(b"r", "", "video/mp4", attributes=[round_one]),
            "video_messages",
            "video_message_{}.mp4",
        ),
        (
            world.add_document(b"s", "", "image/webp", attributes=[sticker]),
            "stickers",
            "sticker_{}.webp",
        ),
        (world.add_document(b"g", "", "video/mp4", attributes=gif), "gifs", "animation_{}.mp4"),
        (world.add_document(b"d", "../../etc/passwd"), "files", "../../etc/passwd"),
    ):
        found = await send(content)
        assert found["file"]["category"] == category
        assert found["filename"] == filename.format(found["file"]["message_id"])


async def test_media_without_a_file(telegram, client, send):
    place = types.MessageMediaGeo(types.GeoPoint(1.0, 2.0, 3))
    contact = types.MessageMediaContact("1", "A", "B", "", 0)
    for content in (place, contact, telegram.world.add_poll("Why?", "a", "b")):
        found = await send(content)
        assert found["filename"] is found["size"] is found["file"] is None
        assert found["type"].startswith("MessageMedia")


def test_self_destructing_media_have_no_file():
    photo = types.Photo(1, 2, b"", None, [types.PhotoSize("x", 1, 1, 1)], 2)
    kept = convert.media_dict(types.MessageMediaPhoto(photo=photo), 1, 1)
    assert kept["file"]["size"] == 1
    gone = convert.media_dict(types.MessageMediaPhoto(photo=photo, ttl_seconds=10), 1, 1)
    assert gone["file"] is gone["filename"] is None


async def test_profile_pictures(telegram, connect):
    world = telegram.world
    photo = world.add_photo()
    world.set_profile(telegram.bob, photo=photo)
    world.post(telegram.bob, telegram.alice, "hi")
    client = await connect(telegram.alice)
    from engine.telegram import dialogs

    (dialog,) = (await dialogs.list_page(client))["dialogs"]
    file = dialog["extra"]["photo"]
    assert file["kind"] == "chat_photo"
    data = b"".join([part async for part in media.read_file(client, file=file)])
    assert data[:2] == b"\xff\xd8"


async def test_file_info(telegram, client, send):
    found = await send(telegram.world.add_document(b"data", "a.bin"))
    message_id = found["file"]["message_id"]
    assert await media.file_info(client, chat_id=BOB, message_id=message_id) == found
    with pytest.raises(NotFound):
        await media.file_info(client, chat_id=BOB, message_id=9_999)
    text = telegram.world.post(telegram.bob, telegram.alice, "text only")
    with pytest.raises(NotFound) as caught:
        await media.file_info(client, chat_id=BOB, message_id=text.id_for(telegram.alice.id))
    assert caught.value.code == "media_not_found"


async def test_bad_ranges_and_ids_are_refused(telegram, client, send):
    found = await send(telegram.world.add_document(b"data", "a.bin"))
    for kwargs in ({"offset": -1}, {"length": -1}):
        with pytest.raises(BadRequest):
            await read(client, found, **kwargs)
    found["file"]["access_hash"] += 1
    with pytest.raises(Refusal) as caught:
        await read(client, found)
    assert refused_with(caught.value, "FILE_ID_INVALID")


async def test_a_flood_while_reading(telegram, client, send):
    found = await send(telegram.world.add_document(Blob(4 * MEGABYTE, 1), "a.bin"))
    telegram.sandbox.faults.flood("upload.getFile", 30)
    with pytest.raises(Refusal) as caught:
        await read(client, found)
    assert refused_with(caught.value, "FLOOD_WAIT")


async def test_a_reader_that_leaves_stops_the_work(telegram, client, send):
    found = await send(telegram.world.add_document(Blob(64 * MEGABYTE, 1), "a.bin"))
    stream = media.read_file(client, file=found["file"], parallel=4)
    async for _ in stream:
        break
    await stream.aclose()
    assert telegram.calls.count("upload.getFile") <= 5
