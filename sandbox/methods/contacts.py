"""contacts.*: an account's address book, and finding people and channels.

Source: https://core.telegram.org/api/contacts
"""

from __future__ import annotations

import re
import zlib
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.peers import input_peer, input_user
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.dates import utc
from sandbox.world.model import PeerId, User
from sandbox.world.peers import tl_peer, user_status

USERNAME = re.compile(r"^[A-Za-z]\w{3,31}$", re.ASCII)
SEARCH_LIMIT = 50
QUERY_LENGTH = 3


def _contacts_hash(call: Call) -> int:
    """https://core.telegram.org/api/offsets#hash-generation: changes with the list."""
    text = ",".join(str(one) for one in sorted(call.me.contacts))
    return zlib.crc32(f"{text};{call.world.people_version}".encode())


@handles(functions.contacts.GetContactsRequest)
async def get_contacts(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/contacts.getContacts"""
    with call.world.lock:
        if request.hash and request.hash == _contacts_hash(call):
            return types.contacts.ContactsNotModified()
        mine = call.me.contacts
        users, _ = call.world.updates.describe(call.me.id, mine)
        rows = [
            types.Contact(one, mutual=call.me.id in call.world.user(one).contacts) for one in mine
        ]
        return types.contacts.Contacts(contacts=rows, saved_count=len(rows), users=users)


@handles(functions.contacts.GetContactIDsRequest)
async def get_contact_ids(call: Call, request: Any) -> list[int]:
    """Source: https://core.telegram.org/method/contacts.getContactIDs"""
    return list(call.me.contacts)


@handles(functions.contacts.GetStatusesRequest)
async def get_statuses(call: Call, request: Any) -> list[Any]:
    """Source: https://core.telegram.org/method/contacts.getStatuses"""
    with call.world.lock:
        found = [(one, call.world.user(one)) for one in call.me.contacts]
        return [
            types.ContactStatus(
                one, user_status(call.world, call.me.id, user) or types.UserStatusEmpty()
            )
            for one, user in found
        ]


@handles(functions.contacts.ImportContactsRequest)
async def import_contacts(call: Call, request: Any) -> Any:
    """Add people by phone number; numbers without an account are left out.

    Source: https://core.telegram.org/method/contacts.importContacts
    """
    with call.world.lock:
        imported, ids = [], set()
        for wanted in request.contacts:
            user = call.world.by_phone(wanted.phone)
            if user is None or user.id == call.me.id:
                continue
            call.world.make_contact(
                call.me, user, first_name=wanted.first_name, last_name=wanted.last_name
            )
            imported.append(types.ImportedContact(user.id, wanted.client_id))
            ids.add(user.id)
        users, _ = call.world.updates.describe(call.me.id, ids)
        return types.contacts.ImportedContacts(imported, [], [], users)


@handles(functions.contacts.AddContactRequest)
async def add_contact(call: Call, request: Any) -> Any:
    """Put a known user into the contacts. Raises `CONTACT_NAME_EMPTY`, `CONTACT_ID_INVALID`.

    Source: https://core.telegram.org/method/contacts.addContact
    """
    if not request.first_name:
        raise RpcError(400, "CONTACT_NAME_EMPTY")
    with call.world.acting(call.me.id, call.origin) as act:
        user = input_user(call, request.id, "CONTACT_ID_INVALID")
        if user.id == call.me.id:
            raise RpcError(400, "CONTACT_ID_INVALID")
        call.world.make_contact(
            call.me, user, first_name=request.first_name, last_name=request.last_name
        )
        return act.result(peers={user.id})


@handles(functions.contacts.DeleteContactsRequest)
async def delete_contacts(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/contacts.deleteContacts"""
    with call.world.acting(call.me.id, call.origin) as act:
        gone = {input_user(call, wanted).id for wanted in request.id}
        for user_id in gone:
            call.world.remove_contact(call.me, user_id)
        return act.result(peers=gone)


def resolved(call: Call, peer: PeerId) -> Any:
    """TL `contacts.ResolvedPeer`."""
    users, chats = call.world.updates.describe(call.me.id, {peer})
    return types.contacts.ResolvedPeer(tl_peer(peer), chats, users)


@handles(functions.contacts.ResolveUsernameRequest)
async def resolve_username(call: Call, request: Any) -> Any:
    """Find who has a username. Raises `USERNAME_INVALID`, `USERNAME_NOT_OCCUPIED`.

    Source: https://core.telegram.org/method/contacts.resolveUsername
    """
    if not USERNAME.match(request.username):
        raise RpcError(400, "USERNAME_INVALID")
    with call.world.lock:
        peer = call.world.by_username(request.username)
        if peer is None:
            raise RpcError(400, "USERNAME_NOT_OCCUPIED")
        return resolved(call, peer)


@handles(functions.contacts.ResolvePhoneRequest)
async def resolve_phone(call: Call, request: Any) -> Any:
    """Find who has a phone number and shows it. Raises `PHONE_NOT_OCCUPIED`.

    Source: https://core.telegram.org/method/contacts.resolvePhone
    """
    with call.world.lock:
        user = call.world.by_phone(request.phone)
        if user is None:
            raise RpcError(400, "PHONE_NOT_OCCUPIED")
        return resolved(call, user.id)


@handles(functions.contacts.SearchRequest)
async def search(call: Call, request: Any) -> Any:
    """Find people and public chats by name: first the caller's own, then everybody's.

    Public usernames and titles are searched from three letters on.
    Raises `QUERY_TOO_SHORT`, `SEARCH_QUERY_EMPTY`.
    Source: https://core.telegram.org/method/contacts.search
    """
    query = request.q.strip().lstrip("@").lower()
    if not query:
        raise RpcError(400, "SEARCH_QUERY_EMPTY")
    if len(query) < QUERY_LENGTH:
        raise RpcError(400, "QUERY_TOO_SHORT")
    limit = max(1, min(request.limit or SEARCH_LIMIT, SEARCH_LIMIT))
    with call.world.lock:
        known = {*call.me.contacts, *call.me.dialogs}
        mine = [peer for peer in known if _matches(call, peer, query)][:limit]
        others = [
            peer
            for peer in sorted({*call.world.usernames.values()} - known)
            if _matches(call, peer, query)
        ][: limit - len(mine)]
        users, chats = call.world.updates.describe(call.me.id, {*mine, *others})
        return types.contacts.Found(
            [tl_peer(one) for one in mine], [tl_peer(one) for one in others], chats, users
        )


def _matches(call: Call, peer: PeerId, query: str) -> bool:
    if peer > 0:
        user = call.world.user(peer)
        contact = call.me.contacts.get(peer)
        name = f"{contact.first_name} {contact.last_name}" if contact else user.name
        username = user.username
    else:
        chat = call.world.chat(peer)
        name, username = chat.title, chat.username
    words = name.lower().split()
    return username.lower().startswith(query) or any(
        " ".join(words[start:]).startswith(query) for start in range(len(words))
    )


@handles(functions.contacts.GetBlockedRequest)
async def get_blocked(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/contacts.getBlocked"""
    with call.world.lock:
        blocked = sorted(call.me.blocked)[request.offset : request.offset + (request.limit or 100)]
        users, chats = call.world.updates.describe(call.me.id, blocked)
        rows = [types.PeerBlocked(tl_peer(one), utc(call.world.now())) for one in blocked]
        return types.contacts.Blocked(rows, chats, users)


@handles(functions.contacts.BlockRequest)
async def block(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/contacts.block"""
    return _block(call, request, True)


@handles(functions.contacts.UnblockRequest)
async def unblock(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/contacts.unblock"""
    return _block(call, request, False)


def _block(call: Call, request: Any, blocked: bool) -> bool:
    with call.world.acting(call.me.id, call.origin):
        peer = input_peer(call, request.id)
        if peer <= 0 or peer == call.me.id:
            raise RpcError(400, "PEER_ID_INVALID")
        call.world.block(call.me, peer, blocked)
        return True


@handles(functions.contacts.GetTopPeersRequest)
async def get_top_peers(call: Call, request: Any) -> Any:
    """The people written to most. Raises `TYPES_EMPTY`.

    Source: https://core.telegram.org/method/contacts.getTopPeers
    """
    if not request.correspondents:
        raise RpcError(400, "TYPES_EMPTY")
    with call.world.lock:
        ranked = sorted(
            (user for user in _correspondents(call)),
            key=lambda user: -len(call.me.histories[user.id]),
        )[request.offset : request.offset + (request.limit or 30)]
        users, _ = call.world.updates.describe(call.me.id, {user.id for user in ranked})
        peers = [
            types.TopPeer(types.PeerUser(user.id), float(len(call.me.histories[user.id])))
            for user in ranked
        ]
        category = types.TopPeerCategoryPeers(
            types.TopPeerCategoryCorrespondents(), len(peers), peers
        )
        return types.contacts.TopPeers([category], [], users)


def _correspondents(call: Call) -> list[User]:
    return [
        call.world.user(peer)
        for peer, history in call.me.histories.items()
        if peer > 0 and peer != call.me.id and len(history) and not call.world.user(peer).bot
    ]
