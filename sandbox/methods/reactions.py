"""Reactions and votes.

Sources: https://core.telegram.org/api/reactions, https://core.telegram.org/api/poll
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.pages import check_limit
from sandbox.methods.peers import input_peer
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.dates import utc
from sandbox.world.media import tl_poll, tl_poll_results
from sandbox.world.model import Message, PeerId, Poll
from sandbox.world.peers import tl_peer

MOST = 1
MOST_PREMIUM = 3
_STANDARD = """
👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳
❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈
😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀
😡
"""
EMOJI = frozenset(_STANDARD.split())
"""The reactions that anybody may use (messages.getAvailableReactions), without U+FE0F."""


def _message(call: Call, peer: PeerId, message_id: int) -> Message:
    message = call.world.message(call.me.id, peer, message_id)
    if message is None or message_id <= call.world.min_id(call.me.id, peer):
        raise RpcError(400, "MESSAGE_ID_INVALID")
    return message


def _reaction(call: Call, peer: PeerId, given: Any) -> str | int:
    """Return a TL `Reaction` as an emoji, or as the id of a custom one; `REACTION_INVALID`."""
    allowed = call.world.chat(peer).available_reactions if peer < 0 else None
    if isinstance(given, types.ReactionCustomEmoji):
        if not call.me.premium or allowed is not None:
            raise RpcError(400, "REACTION_INVALID")
        return int(given.document_id)
    if not isinstance(given, types.ReactionEmoji):
        raise RpcError(400, "REACTION_INVALID")
    emoji = given.emoticon.replace("\ufe0f", "")
    if emoji not in (EMOJI if allowed is None else allowed):
        raise RpcError(400, "REACTION_INVALID")
    return emoji


@handles(functions.messages.SendReactionRequest)
async def send_reaction(call: Call, request: Any) -> Any:
    """Set the caller's reactions to a message; none, or `reactionEmpty`, takes them back.

    Raises `MESSAGE_ID_INVALID`, `REACTION_INVALID`, `REACTIONS_TOO_MANY`,
    `MESSAGE_NOT_MODIFIED`.
    Source: https://core.telegram.org/method/messages.sendReaction
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        message = _message(call, peer, request.msg_id)
        given = [one for one in request.reaction or () if not isinstance(one, types.ReactionEmpty)]
        reactions = [_reaction(call, peer, one) for one in given]
        if len(reactions) > (MOST_PREMIUM if call.me.premium else MOST):
            raise RpcError(400, "REACTIONS_TOO_MANY")
        if message.reactions.get(call.me.id, []) == reactions:
            raise RpcError(400, "MESSAGE_NOT_MODIFIED")
        call.world.react(call.me, message, *reactions)
        return act.result(
            [] if act.updates else [_update(call, peer, message)],
            render.message_peers(message, call.me.id),
        )


def _update(call: Call, peer: PeerId, message: Message) -> Any:
    shown = render.reactions(call.world, message, call.me.id)
    return types.UpdateMessageReactions(
        peer=tl_peer(peer),
        msg_id=message.id_for(call.me.id),
        reactions=shown or types.MessageReactions([]),
    )


@handles(functions.messages.GetMessagesReactionsRequest)
async def get_messages_reactions(call: Call, request: Any) -> Any:
    """Return the reactions of messages as `updateMessageReactions`.

    Source: https://core.telegram.org/method/messages.getMessagesReactions
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        found = [call.world.message(call.me.id, peer, message_id) for message_id in request.id]
        known = [message for message in found if message is not None]
        peers = {peer}
        for message in known:
            peers |= render.message_peers(message, call.me.id)
        return act.result([_update(call, peer, message) for message in known], peers)


@handles(functions.messages.GetMessageReactionsListRequest)
async def get_message_reactions_list(call: Call, request: Any) -> Any:
    """Return who reacted to a message and how, the newest first; refused in broadcast channels.

    Source: https://core.telegram.org/method/messages.getMessageReactionsList
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        message = _message(call, peer, request.id)
        if peer < 0 and call.world.chat(peer).broadcast:
            raise RpcError(403, "BROADCAST_FORBIDDEN")
        wanted = None if request.reaction is None else _reaction(call, peer, request.reaction)
        rows = [
            (user_id, reaction)
            for user_id, chosen in reversed(message.reactions.items())
            for reaction in chosen
            if wanted is None or reaction == wanted
        ]
        try:
            start = int(request.offset or 0)
        except ValueError:
            raise RpcError(400, "OFFSET_INVALID") from None
        limit = check_limit(request.limit)
        page = rows[start : start + limit]
        users, chats = call.world.updates.describe(call.me.id, {user_id for user_id, _one in page})
        return types.messages.MessageReactionsList(
            count=len(rows),
            reactions=[
                types.MessagePeerReaction(
                    peer_id=types.PeerUser(user_id),
                    date=utc(message.date),
                    reaction=render.tl_reaction(reaction),
                    my=(user_id == call.me.id) or None,
                )
                for user_id, reaction in page
            ],
            chats=chats,
            users=users,
            next_offset=str(start + limit) if start + limit < len(rows) else None,
        )


def _poll(message: Message) -> Poll:
    if not isinstance(message.media, Poll):
        raise RpcError(400, "MESSAGE_ID_INVALID")
    return message.media


@handles(functions.messages.SendVoteRequest)
async def send_vote(call: Call, request: Any) -> Any:
    """Vote in a poll; no option retracts the vote, which a quiz does not allow.

    Source: https://core.telegram.org/method/messages.sendVote
    """
    with call.world.acting(call.me.id, call.origin) as act:
        message = _message(call, input_peer(call, request.peer), request.msg_id)
        poll = _poll(message)
        if poll.closed:
            raise RpcError(400, "MESSAGE_POLL_CLOSED")
        options = []
        for option in request.options:
            if not option.isdigit() or int(option) >= len(poll.answers):
                raise RpcError(400, "OPTION_INVALID")
            options.append(int(option))
        if len(options) > 1 and not poll.multiple_choice:
            raise RpcError(400, "OPTIONS_TOO_MUCH")
        if poll.quiz and call.me.id in poll.votes:
            raise RpcError(400, "REVOTE_NOT_ALLOWED")
        call.world.vote(call.me, message, *options)
        return act.result([] if act.updates else [_poll_update(call, poll)])


@handles(functions.messages.GetPollResultsRequest)
async def get_poll_results(call: Call, request: Any) -> Any:
    """Return a poll's results as the caller may see them.

    Source: https://core.telegram.org/method/messages.getPollResults
    """
    with call.world.acting(call.me.id, call.origin) as act:
        poll = _poll(_message(call, input_peer(call, request.peer), request.msg_id))
        return act.result([_poll_update(call, poll)])


def _poll_update(call: Call, poll: Poll) -> Any:
    results = tl_poll_results(poll, call.me.id)
    return types.UpdateMessagePoll(poll_id=poll.id, results=results, poll=tl_poll(poll))
