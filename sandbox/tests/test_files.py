"""Uploads and downloads with unmodified Telethon, and each refusal by name."""

import hashlib
import io

import pytest
from telethon import errors, functions, types
from telethon.tl.types import InputDocumentFileLocation, InputPhotoFileLocation

from sandbox.world.blobs import Blob

KB = 1024
MB = 1024 * KB
GB = 1024 * MB


@pytest.fixture
async def client(telethon, alice):
    return await telethon(alice)


@pytest.fixture
def document(sandbox, alice, bob):
    """A PDF of 300 000 bytes that Bob sent to Alice."""
    file = sandbox.world.add_document(Blob(300_000, 7), "report.pdf", "application/pdf")
    sandbox.world.post(bob, alice, "read this", media=file)
    return file


def location(sandbox, document, **fields):
    given = dict(
        id=document.id,
        access_hash=document.access_hash,
        file_reference=sandbox.world.file_reference(document.id),
        thumb_size="",
    )
    return InputDocumentFileLocation(**{**given, **fields})


def get_file(client, where, offset=0, limit=4 * KB, **fields):
    return client(functions.upload.GetFileRequest(where, offset, limit, **fields))


async def first_message(client, peer):
    await client.get_dialogs()
    [message] = await client.get_messages(peer)
    return message


async def test_it_works(client, document, bob):
    message = await first_message(client, bob.id)
    assert message.file.name == "report.pdf"
    assert message.file.size == 300_000
    data = await client.download_media(message, bytes)
    assert data == document.blob.read()


async def test_parts_agree_with_the_whole(client, sandbox, document):
    where = location(sandbox, document)
    part = await get_file(client, where, 128 * KB, 128 * KB)
    assert part.bytes == document.blob.read()[128 * KB : 256 * KB]
    assert isinstance(part.type, types.storage.FilePdf)
    last = await get_file(client, where, 256 * KB, 128 * KB)
    assert len(last.bytes) == 300_000 - 256 * KB
    beyond = await get_file(client, where, 512 * KB, 128 * KB)
    assert beyond.bytes == b""


async def test_gigabytes_take_no_memory(client, sandbox):
    film = sandbox.world.add_document(Blob(3 * GB, 1), "film.mkv", "video/x-matroska")
    part = await get_file(client, location(sandbox, film), 2 * GB, 512 * KB)
    assert len(part.bytes) == 512 * KB
    again = await get_file(client, location(sandbox, film), 2 * GB + 4 * KB, 4 * KB)
    assert again.bytes == part.bytes[4 * KB : 8 * KB]


async def test_a_byte_range_through_iter_download(client, document, bob):
    message = await first_message(client, bob.id)
    data = b""
    async for chunk in client.iter_download(message.document, offset=1000, request_size=4 * KB):
        data += chunk
    assert data == document.blob.read()[1000:]


@pytest.mark.parametrize(
    ("offset", "limit", "precise", "error"),
    [
        (1, 4 * KB, False, errors.OffsetInvalidError),
        (1 * KB, 4 * KB, False, errors.OffsetInvalidError),
        (-4 * KB, 4 * KB, False, errors.OffsetInvalidError),
        (0, 0, False, errors.LimitInvalidError),
        (0, 1000, False, errors.LimitInvalidError),
        (0, 12 * KB, False, errors.LimitInvalidError),
        (0, 2 * MB, False, errors.LimitInvalidError),
        (1020 * KB, 8 * KB, False, errors.LimitInvalidError),
        (1023 * KB, 2 * KB, True, errors.LimitInvalidError),
        (100, 1 * KB, True, errors.OffsetInvalidError),
    ],
)
async def test_parts_lie_on_a_grid(client, sandbox, document, offset, limit, precise, error):
    with pytest.raises(error):
        await get_file(client, location(sandbox, document), offset, limit, precise=precise)


async def test_precise_parts_lie_on_a_finer_grid(client, sandbox, document):
    where = location(sandbox, document)
    part = await get_file(client, where, 1 * KB, 3 * KB, precise=True)
    assert part.bytes == document.blob.read()[KB : 4 * KB]


async def test_references_expire_and_documents_are_refetched(client, sandbox, document, bob):
    message = await first_message(client, bob.id)
    sandbox.world.expire_file_references()
    assert await client.download_media(message, bytes) == document.blob.read()
    with pytest.raises(errors.FileReferenceExpiredError):
        await client.download_media(message.document, bytes)


async def test_photos_are_not_refetched(client, sandbox, alice, bob):
    photo = sandbox.world.add_photo()
    sandbox.world.post(bob, alice, media=photo)
    message = await first_message(client, bob.id)
    data = await client.download_media(message, bytes)
    assert data == photo.sizes["x"].read()
    sandbox.world.expire_file_references()
    with pytest.raises(errors.FileReferenceExpiredError):
        await client.download_media(message, bytes)
    fresh = await client.get_messages(bob.id, ids=message.id)
    assert await client.download_media(fresh, bytes) == data


async def test_a_photos_sizes(client, sandbox, alice, bob):
    photo = sandbox.world.add_photo()
    sandbox.world.post(bob, alice, media=photo)
    message = await first_message(client, bob.id)
    small = await client.download_media(message, bytes, thumb="m")
    assert small == photo.sizes["m"].read()
    reference = sandbox.world.file_reference(photo.id)
    where = InputPhotoFileLocation(photo.id, photo.access_hash, reference, "z")
    with pytest.raises(errors.LocationInvalidError):
        await get_file(client, where)


async def test_bad_references_are_refused(client, sandbox, document):
    with pytest.raises(errors.FileReferenceEmptyError):
        await get_file(client, location(sandbox, document, file_reference=b""))
    with pytest.raises(errors.FileReferenceInvalidError):
        await get_file(client, location(sandbox, document, file_reference=b"made up"))
    other = sandbox.world.file_reference(document.id + 1)
    with pytest.raises(errors.FileReferenceInvalidError):
        await get_file(client, location(sandbox, document, file_reference=other))


async def test_unknown_files_are_refused(client, sandbox, document):
    with pytest.raises(errors.FileIdInvalidError):
        await get_file(client, location(sandbox, document, access_hash=1))
    with pytest.raises(errors.FileIdInvalidError):
        await get_file(client, location(sandbox, document, id=1))
    with pytest.raises(errors.LocationInvalidError):
        await get_file(client, types.InputSecureFileLocation(1, 2))


async def test_a_file_lives_on_another_dc(client, sandbox, alice, bob):
    file = sandbox.world.add_document(b"far away", "far.txt", "text/plain", dc=1)
    sandbox.world.post(bob, alice, media=file)
    with pytest.raises(errors.FileMigrateError) as caught:
        await get_file(client, location(sandbox, file))
    assert caught.value.new_dc == 1
    message = await first_message(client, bob.id)
    assert await client.download_media(message, bytes) == b"far away"


async def test_a_profile_photo_needs_no_reference(client, sandbox, bob, alice):
    bob.photo = sandbox.world.add_photo()
    sandbox.world.post(bob, alice, "hello")
    await client.get_dialogs()
    data = await client.download_profile_photo(bob.id, bytes)
    assert data == list(bob.photo.sizes.values())[-1].read()
    peer = await client.get_input_entity(bob.id)
    where = types.InputPeerPhotoFileLocation(peer, 12345)
    with pytest.raises(errors.LocationInvalidError):
        await get_file(client, where)


async def test_the_web_is_out_of_reach(client, bob, alice):
    with pytest.raises(errors.LocationInvalidError):
        await client(
            functions.upload.GetWebFileRequest(
                types.InputWebFileLocation("https://example.org/x", 1), 0, 4 * KB
            )
        )
    with pytest.raises(errors.WebpageCurlFailedError):
        await client.send_file("me", "https://example.org/x.png")


async def test_hashes_of_the_parts(client, sandbox, document):
    hashes = await client(functions.upload.GetFileHashesRequest(location(sandbox, document), 0))
    data = document.blob.read()
    assert [(one.offset, one.limit) for one in hashes] == [
        (0, 128 * KB),
        (128 * KB, 128 * KB),
        (256 * KB, 300_000 - 256 * KB),
    ]
    assert hashes[0].hash == hashlib.sha256(data[: 128 * KB]).digest()


async def test_sending_a_file(client, bob, sandbox, alice):
    sandbox.world.post(bob, alice, "hello")
    await client.get_dialogs()
    data = bytes(range(256)) * 2000
    file = io.BytesIO(data)
    file.name = "data.bin"
    message = await client.send_file(bob.id, file, caption="here **it** is", force_document=True)
    assert message.message == "here it is"
    assert message.entities == [types.MessageEntityBold(5, 2)]
    assert (message.file.name, message.file.size) == ("data.bin", len(data))
    assert await client.download_media(message, bytes) == data
    again = await client.send_file("me", message.media)
    assert again.document.id == message.document.id


async def test_sending_more_than_10_mb(client):
    data = hashlib.shake_128(b"big").digest(11 * MB + 5)
    message = await client.send_file("me", data, force_document=True)
    assert message.file.size == len(data)
    assert await client.download_media(message, bytes) == data


@pytest.fixture
def picture(sandbox):
    """The bytes of a JPEG."""
    return sandbox.world.add_photo(width=320, height=240).sizes["m"].read()


async def test_sending_a_photo(client, picture):
    message = await client.send_file("me", await client.upload_file(picture, file_name="a.jpg"))
    assert isinstance(message.media, types.MessageMediaPhoto)
    assert await client.download_media(message, bytes) == picture


async def test_an_album(client, picture):
    files = [await client.upload_file(picture, file_name=f"{n}.jpg") for n in range(3)]
    sent = await client.send_file("me", files, caption=["one", "two", "three"])
    assert [message.message for message in sent] == ["one", "two", "three"]
    assert len({message.grouped_id for message in sent}) == 1
    assert sent[0].grouped_id


async def test_albums_refuse_uploads_and_mixtures(client, document, bob, picture):
    await client.get_dialogs()
    photo = (
        await client.send_file("me", await client.upload_file(picture, file_name="a.jpg"))
    ).photo
    [message] = await client.get_messages(bob.id)

    def album(*media):
        items = [
            types.InputSingleMedia(one, "", random_id=100 + number)
            for number, one in enumerate(media)
        ]
        return client(functions.messages.SendMultiMediaRequest("me", items))

    uploaded = types.InputMediaUploadedPhoto(await client.upload_file(picture, file_name="a.jpg"))
    with pytest.raises(errors.MediaInvalidError):
        await album(uploaded)
    pictures = types.InputMediaPhoto(
        types.InputPhoto(photo.id, photo.access_hash, photo.file_reference)
    )
    papers = types.InputMediaDocument(
        types.InputDocument(
            message.document.id, message.document.access_hash, message.document.file_reference
        )
    )
    with pytest.raises(errors.MediaGroupedInvalidError):
        await album(pictures, papers)
    with pytest.raises(errors.MultiMediaTooLongError):
        await album(*[pictures] * 11)


async def test_other_media(client):
    place = await client.send_file("me", types.InputMediaGeoPoint(types.InputGeoPoint(52.5, 13.4)))
    assert (place.geo.lat, place.geo.long) == (52.5, 13.4)
    person = types.InputMediaContact("+15550000009", "Eve", "", "")
    assert (await client.send_file("me", person)).contact.first_name == "Eve"
    assert 1 <= (await client.send_file("me", types.InputMediaDice("🎲"))).dice.value <= 6


async def test_media_that_cannot_be_sent(client, sandbox, document, picture):
    nothing = types.InputMediaDocument(types.InputDocument(1, 2, b"x"))
    with pytest.raises(errors.MediaEmptyError):
        await client.send_file("me", nothing)
    sandbox.world.expire_file_references()
    old = sandbox.world.file_reference(document.id, 1)
    stale = types.InputMediaDocument(types.InputDocument(document.id, document.access_hash, old))
    with pytest.raises(errors.FileReferenceExpiredError):
        await client.send_file("me", stale)
    with pytest.raises(errors.ImageProcessFailedError):
        broken = await client.upload_file(b"no picture", file_name="a.jpg")
        await client(
            functions.messages.SendMediaRequest("me", types.InputMediaUploadedPhoto(broken), "")
        )
    with pytest.raises(errors.PhotoExtInvalidError):
        odd = await client.upload_file(picture, file_name="a.exe")
        await client(
            functions.messages.SendMediaRequest("me", types.InputMediaUploadedPhoto(odd), "")
        )
    with pytest.raises(errors.MediaCaptionTooLongError):
        await client.send_file("me", types.InputMediaDice("🎲"), caption="x" * 1025)


def save(client, number, data, file_id=1):
    return client(functions.upload.SaveFilePartRequest(file_id, number, data))


def save_big(client, number, total, data, file_id=1):
    return client(functions.upload.SaveBigFilePartRequest(file_id, number, total, data))


def send_upload(client, *, parts, md5="", file_id=1):
    file = types.InputFile(file_id, parts, "a.bin", md5)
    media = types.InputMediaUploadedDocument(file, "application/octet-stream", [])
    return client(functions.messages.SendMediaRequest("me", media, ""))


async def test_parts_that_are_no_parts(client):
    with pytest.raises(errors.FilePartEmptyError):
        await save(client, 0, b"")
    with pytest.raises(errors.FilePartInvalidError):
        await save(client, -1, b"x")
    with pytest.raises(errors.FilePartInvalidError):
        await save(client, 4000, b"x")
    with pytest.raises(errors.FilePartTooBigError):
        await save(client, 0, bytes(512 * KB + 1))
    with pytest.raises(errors.FilePartsInvalidError):
        await save_big(client, 0, 0, b"x")
    with pytest.raises(errors.FilePartsInvalidError):
        await save_big(client, 0, 4001, b"x")
    with pytest.raises(errors.FilePartInvalidError):
        await save_big(client, 3, 3, b"x")


async def test_part_sizes_must_agree(client):
    await save(client, 0, bytes(KB))
    with pytest.raises(errors.FilePartSizeChangedError):
        await save(client, 1, bytes(2 * KB))
    await save(client, 1, bytes(10))
    with pytest.raises(errors.FilePartSizeChangedError):
        await save(client, 2, bytes(KB))
    await save(client, 0, bytes(1000), file_id=2)
    with pytest.raises(errors.FilePartSizeInvalidError):
        await save(client, 1, bytes(1000), file_id=2)


async def test_parts_may_come_in_any_order(client):
    await save(client, 2, b"end")
    await save(client, 1, b"b" * KB)
    await save(client, 0, b"a" * KB)
    result = await send_upload(client, parts=3)
    [new] = [one for one in result.updates if isinstance(one, types.UpdateNewMessage)]
    data = await client.download_media(new.message.media, bytes)
    assert data == b"a" * KB + b"b" * KB + b"end"


async def test_a_missing_part_is_named(client):
    await save(client, 0, bytes(KB))
    with pytest.raises(errors.FilePartMissingError) as caught:
        await send_upload(client, parts=2)
    assert caught.value.which == 1
    with pytest.raises(errors.FilePart0MissingError):
        await send_upload(client, parts=1, file_id=99)
    with pytest.raises(errors.FilePartsInvalidError):
        await send_upload(client, parts=0)


async def test_a_wrong_checksum_is_refused(client):
    await save(client, 0, b"data")
    with pytest.raises(errors.Md5ChecksumInvalidError):
        await send_upload(client, parts=1, md5="0" * 32)
    assert await send_upload(client, parts=1, md5=hashlib.md5(b"data").hexdigest())
