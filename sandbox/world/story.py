"""Things that happened at a time: planned in any order, told in the order of their dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from telethon.tl import types

from sandbox.world import phrases
from sandbox.world.model import Chat, Message, User

if TYPE_CHECKING:
    from sandbox.world import World

HOUR = 3600
DAY = 24 * HOUR


class Story:
    """Collects what happens in a world; `tell()` lets it happen, oldest first.

    Account-wide message ids must rise with time across all chats, so nothing is posted before
    everything is planned.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.now = world.now()
        self._plans: list[tuple[int, int, Callable[[int], Any]]] = []
        self._order = count(1)
        self.said: dict[int, list[Message]] = {}

    def ago(self, days: float) -> int:
        return int(self.now - days * DAY)

    def at(self, date: int, act: Callable[[int], Any]) -> None:
        """Let `act(date)` happen at a date."""
        heappush(self._plans, (date, next(self._order), act))

    def say(self, date: int, sender: Any, chat: Any, text: str = "", **fields: Any) -> None:
        """Let somebody post something at a date."""

        def post(when: int) -> None:
            message = self.world.post(sender, chat, text, date=when, **fields)
            self.said.setdefault(self.place(sender, chat), []).append(message)

        self.at(date, post)

    def place(self, sender: Any, chat: Any) -> int:
        """One number per conversation, whoever of a private chat speaks."""
        if isinstance(chat, Chat):
            return chat.peer
        return hash(frozenset((sender.id, chat.id)))

    def tell(self) -> None:
        """Let everything that was planned happen."""
        while self._plans:
            date, _, act = heappop(self._plans)
            act(date)

    def times(self, number: int, start: int, end: int) -> list[int]:
        """Rising dates, denser towards the end and in the day than at night."""
        span = end - start
        dates: list[int] = []
        while len(dates) < number:
            date = start + int(span * (1 - self.random.random() ** 2))
            hour = date // HOUR % 24
            if 6 <= hour <= 22 or self.random.random() < 0.15:
                dates.append(date)
        return sorted(dates)

    # Conversations

    def chatter(
        self,
        chat: User | Chat,
        people: Sequence[User],
        number: int,
        start: int,
        end: int,
        *,
        lines: Sequence[str] = (),
        media: float = 0.08,
    ) -> None:
        """A conversation of `number` messages, with replies, reactions, media and edits."""
        for date in self.times(number, start, end):
            self.at(date, lambda when: self.turn(chat, people, lines, media, when))

    def turn(
        self,
        chat: User | Chat,
        people: Sequence[User],
        lines: Sequence[str],
        media: float,
        when: int,
    ) -> None:
        random = self.random
        sender = random.choice(people)
        target = chat
        if isinstance(chat, User):
            target = chat if sender is not chat else next(one for one in people if one is not chat)
        elif chat.member(sender.id) is None:
            return
        said = self.said.setdefault(self.place(sender, target), [])
        text = random.choice(lines or phrases.TALK.get(sender.language, phrases.TALK["en"]))
        reply = random.choice(said[-12:]) if said and random.random() < 0.18 else None
        attachment = None
        if random.random() < media:
            attachment = self.attachment(when)
            text = text if random.random() < 0.4 else ""
        message = self.world.post(
            sender,
            target,
            text,
            entities=self.formatting(text),
            media=attachment,
            reply_to=reply,
            date=when,
        )
        said.append(message)
        self._aftermath(message, people, when)

    def _aftermath(self, message: Message, people: Sequence[User], when: int) -> None:
        random, world = self.random, self.world
        if random.random() < 0.12:
            for user in random.sample(list(people), min(len(people), random.randint(1, 3))):
                message.reactions[user.id] = [random.choice(phrases.REACTIONS)]
        if message.text and random.random() < 0.04:
            later = min(self.now, when + random.randint(30, 600))
            world.edit(message, message.text + " (edit)", date=later)
        if random.random() < 0.02:
            world.delete(message)
            self.said[self.place_of(message)].remove(message)

    def place_of(self, message: Message) -> int:
        if message.peer < 0:
            return message.peer
        return hash(frozenset((message.sender, message.peer)))

    def formatting(self, text: str) -> list[Any]:
        """Now and then a word in bold, italic, code or under a spoiler."""
        first = text.split(" ")[0]
        if not first.isascii() or len(first) < 3 or self.random.random() > 0.08:
            return []
        kind = self.random.choice(
            [
                types.MessageEntityBold,
                types.MessageEntityItalic,
                types.MessageEntityCode,
                types.MessageEntitySpoiler,
            ]
        )
        return [kind(0, len(first))]

    def attachment(self, when: int) -> Any:
        """A photo mostly; else a document, voice note, video, poll, place or contact."""
        random, world = self.random, self.world
        kind = random.choices(
            ["photo", "pdf", "voice", "video", "geo", "contact", "poll"],
            weights=[50, 12, 14, 8, 4, 3, 6],
        )[0]
        if kind == "photo":
            wide, high = random.choice([(800, 600), (600, 800), (800, 450)])
            return world.add_photo(width=wide, height=high, look=random.randrange(3), date=when)
        if kind == "pdf":
            name, title = random.choice(phrases.FILES)
            return world.add_pdf(title, name, date=when)
        if kind == "voice":
            return world.add_voice(random.randint(1, 4), date=when)
        if kind == "video":
            return world.add_video(random.randint(200_000, 3_000_000), date=when)
        if kind == "geo":
            place = types.GeoPoint(13.4 + random.random(), 52.5 + random.random(), 0)
            return types.MessageMediaGeo(place)
        if kind == "contact":
            return types.MessageMediaContact("15557654321", "Sam", "Plumber", "", 0)
        return world.add_poll("When shall we meet?", "Friday", "Saturday", "I can't make it")
