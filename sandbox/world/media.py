"""TL photos, documents and polls, with the file references that are valid now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telethon.tl import types

from sandbox.world.dates import utc
from sandbox.world.model import Document, Photo, Poll

if TYPE_CHECKING:
    from sandbox.world.state import State

SIZE_LIMITS = {"m": 320, "x": 800, "y": 1280}


def fitted(width: int, height: int, limit: int) -> tuple[int, int]:
    """Scale a picture down until its longer side is at most `limit`."""
    longer = max(width, height)
    if longer <= limit:
        return width, height
    return max(1, width * limit // longer), max(1, height * limit // longer)


def tl_photo(world: State, photo: Photo) -> Any:
    """TL `Photo`. https://core.telegram.org/constructor/photo"""
    sizes: list[Any] = []
    if photo.stripped:
        sizes.append(types.PhotoStrippedSize("i", photo.stripped))
    for name, blob in photo.sizes.items():
        width, height = fitted(photo.width, photo.height, SIZE_LIMITS.get(name, 1280))
        sizes.append(types.PhotoSize(name, width, height, blob.size))
    return types.Photo(
        id=photo.id,
        access_hash=photo.access_hash,
        file_reference=world.file_reference(photo.id),
        date=utc(photo.date),
        sizes=sizes,
        dc_id=photo.dc,
    )


def tl_document(world: State, document: Document) -> Any:
    """TL `Document`. https://core.telegram.org/constructor/document"""
    thumbs = [types.PhotoSize(name, 320, 180, blob.size) for name, blob in document.thumbs.items()]
    return types.Document(
        id=document.id,
        access_hash=document.access_hash,
        file_reference=world.file_reference(document.id),
        date=utc(document.date),
        mime_type=document.mime_type,
        size=document.size,
        dc_id=document.dc,
        attributes=list(document.attributes),
        thumbs=thumbs or None,
    )


def tl_media(world: State, media: Any, viewer_id: int) -> Any:
    """TL `MessageMedia` of what a message carries."""
    if isinstance(media, Photo):
        return types.MessageMediaPhoto(photo=tl_photo(world, media))
    if isinstance(media, Document):
        voice = video = round_video = False
        for attribute in media.attributes:
            if isinstance(attribute, types.DocumentAttributeAudio):
                voice = voice or bool(attribute.voice)
            elif isinstance(attribute, types.DocumentAttributeVideo):
                video, round_video = True, bool(attribute.round_message)
        return types.MessageMediaDocument(
            document=tl_document(world, media),
            voice=voice or None,
            video=video or None,
            round=round_video or None,
        )
    if isinstance(media, Poll):
        return types.MessageMediaPoll(tl_poll(media), tl_poll_results(media, viewer_id))
    return media


def tl_poll(poll: Poll) -> Any:
    """TL `Poll`. https://core.telegram.org/constructor/poll"""
    return types.Poll(
        id=poll.id,
        question=types.TextWithEntities(poll.question, []),
        answers=[
            types.PollAnswer(types.TextWithEntities(answer, []), str(number).encode())
            for number, answer in enumerate(poll.answers)
        ],
        hash=0,
        closed=poll.closed or None,
        public_voters=poll.public_voters or None,
        multiple_choice=poll.multiple_choice or None,
        quiz=poll.quiz or None,
    )


def tl_poll_results(poll: Poll, viewer_id: int) -> Any:
    """TL `PollResults`: counts only for those who voted, or when the poll is closed."""
    own = poll.votes.get(viewer_id)
    crowd = poll.extra_votes or [0] * len(poll.answers)
    total = len(poll.votes) + (max(crowd) if poll.multiple_choice else sum(crowd))
    if own is None and not poll.closed:
        return types.PollResults(total_voters=total)
    return types.PollResults(
        results=[
            types.PollAnswerVoters(
                option=str(number).encode(),
                voters=crowd[number] + sum(number in chosen for chosen in poll.votes.values()),
                chosen=(own is not None and number in own) or None,
                correct=(poll.quiz and poll.correct == number) or None,
                recent_voters=[],
            )
            for number in range(len(poll.answers))
        ],
        total_voters=total,
    )
