"""Downloading: parts of 512 KB, several in flight, in order, from whichever data centre.

Source: https://core.telegram.org/api/files#downloading-files
"""

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import upload as requests

from engine.errors import BadRequest, NotFound
from engine.methods.shapes import FileDict
from engine.telegram import peers
from engine.telegram.history import fetch
from engine.telegram.pages import message_dicts
from engine.telegram.rpc import Refusal, number_in, refused_with

PART_BYTES = 512 * 1024
MAX_PARALLEL = 16
REFRESHES = 3
MIGRATIONS = 3


class Download:
    """One file on its way, part by part; made anew for each reader."""

    def __init__(self, client: TelegramClient, file: FileDict, thumb: str | None) -> None:
        self._client = client
        self._file = file
        self._thumb = thumb
        self._dc_id = file["dc_id"] or client.session.dc_id
        self._location: Any = None
        self._stamp = 0
        self._refreshing = asyncio.Lock()

    async def part(self, index: int) -> bytes:
        """Return the `index`th part; shorter at the end, empty behind it."""
        refreshed = migrated = 0
        while True:
            stamp, dc_id = self._stamp, self._dc_id
            if self._location is None:
                self._location = await self._locate()
            request = requests.GetFileRequest(
                self._location, offset=index * PART_BYTES, limit=PART_BYTES
            )
            try:
                answer = await self._ask(request, dc_id)
            except Refusal as error:
                if refused_with(error, "FILE_MIGRATE") and migrated < MIGRATIONS:
                    migrated += 1
                    self._dc_id = number_in(error)
                elif _stale(error) and refreshed < REFRESHES:
                    refreshed += 1
                    await self._refresh(stamp)
                elif refused_with(error, "OFFSET_INVALID"):
                    return b""
                else:
                    raise
                continue
            return bytes(answer.bytes)

    async def _ask(self, request: Any, dc_id: int) -> Any:
        client = self._client
        if dc_id == client.session.dc_id:
            return await client(request)
        sender = await client._borrow_exported_sender(dc_id)
        try:
            return await client._call(sender, request)
        finally:
            await client._return_exported_sender(sender)

    async def _refresh(self, stamp: int) -> None:
        """Fetch a fresh reference, once for all parts that found the old one stale."""
        async with self._refreshing:
            if self._stamp == stamp:
                self._file = await refresh(self._client, self._file)
                self._location = await self._locate()
                self._stamp += 1

    async def _locate(self) -> Any:
        file = self._file
        thumb = file["thumb"] if self._thumb is None else self._thumb
        if file["kind"] == "chat_photo":
            peer = await peers.find(self._client, file["chat_id"])
            return types.InputPeerPhotoFileLocation(peer, file["id"], big=thumb == "c" or None)
        location = (
            types.InputPhotoFileLocation
            if file["kind"] == "photo"
            else types.InputDocumentFileLocation
        )
        return location(
            id=file["id"],
            access_hash=file["access_hash"],
            file_reference=base64.b64decode(file["file_reference"]),
            thumb_size=thumb,
        )


async def stream(
    client: TelegramClient,
    file: FileDict,
    *,
    offset: int,
    length: int | None,
    thumb: str | None,
    parallel: int,
) -> AsyncIterator[bytes]:
    """Yield a file's bytes in order; see `engine.methods.media.read_file`."""
    if offset < 0 or (length is not None and length < 0):
        raise BadRequest("range_invalid", "The range is not valid.")
    if thumb is not None and all(each["type"] != thumb for each in file["thumbs"]):
        raise NotFound("thumb_not_found", "The file has no such preview.")
    download = Download(client, file, thumb)
    end = None if length is None else offset + length
    known = file["size"] if thumb is None else _thumb_size(file, thumb)
    index = offset // PART_BYTES
    flying: deque[asyncio.Task[bytes]] = deque()
    position = index * PART_BYTES
    try:
        while end is None or position < end:
            # Beyond the declared end one part is asked for at a time: sizes may lie, both ways.
            while len(flying) < max(1, min(parallel, MAX_PARALLEL)) and (
                not flying or _wanted(index, end, known)
            ):
                flying.append(asyncio.create_task(download.part(index)))
                index += 1
            part = await flying[0]
            flying.popleft()
            skip = max(0, offset - position)
            stop = len(part) if end is None else min(len(part), end - position)
            if skip < stop:
                yield part if (skip, stop) == (0, len(part)) else part[skip:stop]
            position += len(part)
            if len(part) < PART_BYTES or position == known:
                return
    finally:
        for task in flying:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*flying, return_exceptions=True)


async def refresh(client: TelegramClient, file: FileDict) -> FileDict:
    """Return the file as its message holds it now; NotFound when it does not any more."""
    if file["kind"] == "chat_photo":
        return file
    peer = await peers.find(client, file["chat_id"])
    answer = await fetch(client, peer, [file["message_id"]])
    for message in message_dicts(client, peer, answer):
        for media in (message["media"], message.get("private", {}).get("media")):
            fresh = media.get("file") if media is not None else None
            if fresh is not None and (fresh["kind"], fresh["id"]) == (file["kind"], file["id"]):
                return {**fresh, "thumb": file["thumb"]}
    raise NotFound("media_not_found", "The message no longer holds this file.")


def _wanted(index: int, end: int | None, known: int) -> bool:
    start = index * PART_BYTES
    return start < known and (end is None or start < end)


def _thumb_size(file: FileDict, thumb: str) -> int:
    return next((each["size"] for each in file["thumbs"] if each["type"] == thumb), 0)


def _stale(error: BaseException) -> bool:
    return refused_with(
        error, "FILE_REFERENCE_EXPIRED", "FILE_REFERENCE_INVALID", "FILE_REFERENCE_EMPTY"
    )
