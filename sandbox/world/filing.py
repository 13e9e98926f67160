"""Photos and documents: made up, or from bytes."""

from __future__ import annotations

from typing import Any

from telethon.tl import types

from sandbox.world.blobs import Blob
from sandbox.world.media import SIZE_LIMITS, fitted
from sandbox.world.model import Document, Photo, Poll
from sandbox.world.pictures import jpeg, pdf, voice
from sandbox.world.state import State


class Filing(State):
    """Verbs that make something to send."""

    def add_photo(
        self,
        data: bytes | None = None,
        *,
        width: int = 800,
        height: int = 600,
        look: int = 0,
        date: int | None = None,
        dc: int | None = None,
        photo_id: int = 0,
    ) -> Photo:
        """A photo, from a client's file or painted in one of many looks."""
        with self.lock:
            number = photo_id or self.random_long()
            sizes = {}
            for name in ("m", "x"):
                size = fitted(width, height, SIZE_LIMITS[name])
                picture = data if data is not None else jpeg(look, *size, number)
                sizes[name] = Blob.of(picture)
            photo = Photo(
                id=number,
                date=self.now() if date is None else date,
                dc=dc or self.main_dc,
                access_hash=self.file_hash(number),
                width=width,
                height=height,
                sizes=sizes,
            )
            self.photos[number] = photo
            return photo

    def add_document(
        self,
        blob: Blob | bytes,
        name: str = "",
        mime_type: str = "application/octet-stream",
        *,
        attributes: list[Any] | None = None,
        date: int | None = None,
        dc: int | None = None,
        document_id: int = 0,
    ) -> Document:
        """A file; `Blob(size, seed)` gives one of any size that is made up when it is read."""
        with self.lock:
            number = document_id or self.random_long()
            named = [types.DocumentAttributeFilename(name)] if name else []
            document = Document(
                id=number,
                date=self.now() if date is None else date,
                dc=dc or self.main_dc,
                access_hash=self.file_hash(number),
                mime_type=mime_type,
                blob=Blob.of(blob) if isinstance(blob, bytes) else blob,
                attributes=[*(attributes or []), *named],
            )
            self.documents[number] = document
            return document

    def add_voice(self, seconds: int = 3, **where: Any) -> Document:
        """A voice note."""
        sound = types.DocumentAttributeAudio(seconds, voice=True, waveform=bytes(range(0, 60, 3)))
        data = voice(seconds, self.random.getrandbits(31))
        return self.add_document(data, "", "audio/ogg", attributes=[sound], **where)

    def add_video(self, size: int, seconds: int = 20, name: str = "video.mp4", **where: Any) -> Any:
        """A video of `size` bytes (not one that plays)."""
        film = types.DocumentAttributeVideo(float(seconds), 1280, 720, supports_streaming=True)
        blob = Blob(size, self.random.getrandbits(31))
        return self.add_document(blob, name, "video/mp4", attributes=[film], **where)

    def add_pdf(self, title: str, name: str, **where: Any) -> Document:
        data = pdf(title, self.random.getrandbits(31))
        return self.add_document(data, name, "application/pdf", **where)

    def add_poll(self, question: str, *answers: str, **fields: Any) -> Poll:
        """A poll, to be sent as a message's media."""
        with self.lock:
            return Poll(self.random_long(), question, list(answers), **fields)

    def file_hash(self, number: int) -> int:
        """Access hash of a file: the same for all who have seen it."""
        return self.access_hash(0, number)
