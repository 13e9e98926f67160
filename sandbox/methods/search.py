"""Telegram's own search: in one chat, in all of them, and how much there would be.

A query matches a message that has, for each word of the query, a word beginning with it.
Sources: https://core.telegram.org/api/search, https://core.telegram.org/type/MessagesFilter
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.history import in_thread, thread_page
from sandbox.methods.pages import check_limit, unix
from sandbox.methods.peers import input_peer
from sandbox.methods.results import messages_page
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.model import Document, Kind, Message, PeerId, Photo, Poll

_WORD = re.compile(r"#?\w+")
Test = Callable[[Message], bool]


def words(text: str) -> list[str]:
    """Return the words of a text, lower case; a hashtag keeps its sign."""
    return _WORD.findall(text.casefold())


def searchable(message: Message) -> str:
    """Return what a query is compared with: text, file name, title, poll."""
    media = message.media
    parts = [message.text]
    if isinstance(media, Document):
        for attribute in media.attributes:
            for name in ("file_name", "title", "performer"):
                parts.append(getattr(attribute, name, None) or "")
    elif isinstance(media, Poll):
        parts += [media.question, *media.answers]
    return " ".join(parts)


def matches_query(query: str) -> Test:
    """Return the test of a text query; an empty one lets everything pass."""
    wanted = words(query)
    if not wanted:
        return lambda message: not query

    def test(message: Message) -> bool:
        if message.action is not None:
            return False
        present = words(searchable(message))
        present += [word[1:] for word in present if word.startswith("#")]
        return all(any(word.startswith(start) for word in present) for start in wanted)

    return test


def _attribute(message: Message, kind: Any) -> Any:
    if not isinstance(message.media, Document):
        return None
    return next((one for one in message.media.attributes if isinstance(one, kind)), None)


def _voice(message: Message) -> bool:
    audio = _attribute(message, types.DocumentAttributeAudio)
    return audio is not None and bool(audio.voice)


def _music(message: Message) -> bool:
    audio = _attribute(message, types.DocumentAttributeAudio)
    return audio is not None and not audio.voice


def _gif(message: Message) -> bool:
    return _attribute(message, types.DocumentAttributeAnimated) is not None


def _round(message: Message) -> bool:
    video = _attribute(message, types.DocumentAttributeVideo)
    return video is not None and bool(video.round_message)


def _video(message: Message) -> bool:
    video = _attribute(message, types.DocumentAttributeVideo)
    return video is not None and not video.round_message and not _gif(message)


def _photo(message: Message) -> bool:
    return isinstance(message.media, Photo)


def _document(message: Message) -> bool:
    special = (
        types.DocumentAttributeAudio,
        types.DocumentAttributeVideo,
        types.DocumentAttributeAnimated,
        types.DocumentAttributeSticker,
    )
    return isinstance(message.media, Document) and _attribute(message, special) is None


def _url(message: Message) -> bool:
    links = (types.MessageEntityUrl, types.MessageEntityTextUrl)
    return isinstance(message.media, types.MessageMediaWebPage) or any(
        isinstance(entity, links) for entity in message.entities
    )


def _geo(message: Message) -> bool:
    kinds = (types.MessageMediaGeo, types.MessageMediaVenue, types.MessageMediaGeoLive)
    return isinstance(message.media, kinds)


_FILTERS: dict[type, Test] = {
    types.InputMessagesFilterPhotos: _photo,
    types.InputMessagesFilterVideo: _video,
    types.InputMessagesFilterPhotoVideo: lambda message: _photo(message) or _video(message),
    types.InputMessagesFilterDocument: _document,
    types.InputMessagesFilterUrl: _url,
    types.InputMessagesFilterGif: _gif,
    types.InputMessagesFilterVoice: _voice,
    types.InputMessagesFilterMusic: _music,
    types.InputMessagesFilterRoundVideo: _round,
    types.InputMessagesFilterRoundVoice: lambda message: _voice(message) or _round(message),
    types.InputMessagesFilterChatPhotos: lambda message: isinstance(
        message.action, types.MessageActionChatEditPhoto
    ),
    types.InputMessagesFilterGeo: _geo,
    types.InputMessagesFilterContacts: lambda message: isinstance(
        message.media, types.MessageMediaContact
    ),
    types.InputMessagesFilterPinned: lambda message: message.pinned,
    types.InputMessagesFilterPoll: lambda message: isinstance(message.media, Poll),
}


def matches_filter(call: Call, wanted: Any) -> Test:
    """Return the test of a `MessagesFilter`; `INPUT_FILTER_INVALID` for an unknown one."""
    if isinstance(wanted, types.InputMessagesFilterEmpty):
        return lambda message: True
    if isinstance(wanted, types.InputMessagesFilterMyMentions):
        me = call.me.id
        return lambda message: me in message.mentions
    if isinstance(wanted, types.InputMessagesFilterPhoneCalls):
        missed = wanted.missed
        return lambda message: (
            isinstance(message.action, types.MessageActionPhoneCall)
            and (
                not missed or isinstance(message.action.reason, types.PhoneCallDiscardReasonMissed)
            )
        )
    try:
        return _FILTERS[type(wanted)]
    except KeyError:
        raise RpcError(400, "INPUT_FILTER_INVALID") from None


def _search(
    messages: Iterable[Message], tests: list[Test], min_date: int, max_date: int
) -> list[Message]:
    return [
        message
        for message in messages
        if (not min_date or message.date > min_date)
        and (not max_date or message.date < max_date)
        and all(test(message) for test in tests)
    ]


def _is_empty(request: Any) -> bool:
    return not request.q and isinstance(request.filter, types.InputMessagesFilterEmpty)


def visible(call: Call, peer: PeerId) -> list[Message]:
    """Return what the caller may see of a dialog, oldest first."""
    history = call.world.history(call.me.id, peer)
    return history.messages[history.index_after_id(call.world.min_id(call.me.id, peer)) :]


@handles(functions.messages.SearchRequest)
async def search(call: Call, request: Any) -> Any:
    """Search one chat; with `inputPeerEmpty` all private chats and basic groups.

    Dates are exclusive on both sides. A limit of 0 gives the count alone. Sender filters are
    ignored in private chats.
    Source: https://core.telegram.org/method/messages.search
    """
    with call.world.lock:
        if _is_empty(request) and request.from_id is None and not request.top_msg_id:
            raise RpcError(400, "SEARCH_QUERY_EMPTY")
        tests = [matches_query(request.q), matches_filter(call, request.filter)]
        if isinstance(request.peer, types.InputPeerEmpty):
            peer = 0
            source = sorted(call.me.messages.values(), key=lambda one: one.id_for(call.me.id))
        else:
            peer = input_peer(call, request.peer)
            source = visible(call, peer)
        if request.from_id is not None and peer <= 0:
            sender = input_peer(call, request.from_id)
            tests.append(lambda message: message.sender == sender)
        if request.top_msg_id and peer:
            peer, source = in_thread(call, peer, request.top_msg_id)
        found = _search(source, tests, unix(request.min_date), unix(request.max_date))
        return thread_page(call, peer, found, request)


@handles(functions.messages.GetSearchCountersRequest)
async def get_search_counters(call: Call, request: Any) -> Any:
    """Count what each filter would find in a chat.

    Source: https://core.telegram.org/method/messages.getSearchCounters
    """
    with call.world.lock:
        source = visible(call, input_peer(call, request.peer))
        return [
            types.messages.SearchCounter(
                filter=wanted, count=sum(map(matches_filter(call, wanted), source))
            )
            for wanted in request.filters
        ]


def _global_sources(call: Call, request: Any) -> list[PeerId]:
    """Return the caller's dialogs that a global search looks into."""
    chosen = []
    for peer, dialog in call.me.dialogs.items():
        if dialog.hidden or not call.world.may_read(call.me.id, peer):
            continue
        if request.folder_id is not None and dialog.folder_id != request.folder_id:
            continue
        broadcast = peer < 0 and call.world.chat(peer).kind is Kind.CHANNEL
        if request.users_only and peer < 0:
            continue
        if request.groups_only and (peer > 0 or broadcast):
            continue
        if request.broadcasts_only and not broadcast:
            continue
        chosen.append(peer)
    return chosen


@handles(functions.messages.SearchGlobalRequest)
async def search_global(call: Call, request: Any) -> Any:
    """Search all dialogs, newest first.

    The next page is asked for with `next_rate`, and peer and id of the last message.
    Source: https://core.telegram.org/method/messages.searchGlobal
    """
    with call.world.lock:
        if _is_empty(request):
            raise RpcError(400, "SEARCH_QUERY_EMPTY")
        if request.folder_id not in (None, 0, 1):
            raise RpcError(400, "FOLDER_ID_INVALID")
        tests = [matches_query(request.q), matches_filter(call, request.filter)]
        dates = unix(request.min_date), unix(request.max_date)
        user_id = call.me.id
        found: list[tuple[tuple[int, int, int], Message]] = []
        for peer in _global_sources(call, request):
            for message in _search(visible(call, peer), tests, *dates):
                found.append(((-message.date, peer, -message.id_for(user_id)), message))
        found.sort(key=lambda pair: pair[0])
        start = _global_start(call, request, [key for key, _message in found])
        limit = check_limit(request.limit, call.world.limits.history)
        page = [message for _key, message in found[start : start + limit]]
        answer = messages_page(call, 0, page, count=len(found))
        if isinstance(answer, types.messages.MessagesSlice) and page:
            answer.next_rate = page[-1].date
        return answer


def _global_start(call: Call, request: Any, keys: list[tuple[int, int, int]]) -> int:
    if not request.offset_rate and not request.offset_id:
        return 0
    if isinstance(request.offset_peer, types.InputPeerEmpty):
        return sum(-key[0] >= request.offset_rate for key in keys) if request.offset_rate else 0
    peer = input_peer(call, request.offset_peer)
    if not request.offset_rate:
        here = next((key for key in keys if key[1:] == (peer, -request.offset_id)), None)
        return keys.index(here) + 1 if here else 0
    last = (-request.offset_rate, peer, -request.offset_id)
    return sum(key <= last for key in keys)
