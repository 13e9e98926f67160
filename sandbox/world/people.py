"""People and bots: accounts, profiles, contacts, cloud passwords, who is logged in."""

from __future__ import annotations

import hashlib
from typing import Any

from telethon.tl import types

from sandbox.world import srp
from sandbox.world.dates import utc
from sandbox.world.model import Authorization, Contact, Photo, User
from sandbox.world.peers import user_status
from sandbox.world.state import SERVICE_NOTIFICATIONS, State, Who, normal_phone


class People(State):
    """Verbs on users."""

    def add_user(
        self,
        first_name: str,
        last_name: str = "",
        *,
        phone: str = "",
        username: str = "",
        about: str = "",
        language: str = "en",
        dc: int | None = None,
        user_id: int = 0,
        photo: Photo | None = None,
        password: str = "",
        hint: str = "",
        premium: bool = False,
        verified: bool = False,
        last_seen: int = 0,
    ) -> User:
        """Register a person. Without `phone` nobody can log in as them."""
        with self.lock:
            user = User(
                id=user_id or self.next_user_id(),
                first_name=first_name,
                last_name=last_name,
                about=about,
                language=language,
                dc=dc or self.main_dc,
                photo=photo,
                premium=premium,
                verified=verified,
                last_seen=last_seen,
            )
            if user.id in self.users:
                raise ValueError(f"user {user.id} exists")
            digits = normal_phone(phone)
            if digits:
                if digits in self.phones:
                    raise ValueError("that phone number is taken")
                user.phone = digits
                self.phones[digits] = user.id
            self.users[user.id] = user
            if username:
                self.set_username(user, username)
            if password:
                self.set_password(user, password, hint=hint)
            return user

    def add_bot(
        self,
        name: str,
        username: str,
        *,
        description: str = "",
        commands: dict[str, str] | None = None,
        user_id: int = 0,
    ) -> User:
        """Register a bot; it answers nothing by itself."""
        with self.lock:
            bot = self.add_user(name, username=username, user_id=user_id)
            bot.bot = True
            bot.bot_description = description
            bot.bot_commands = dict(commands or {})
            return bot

    def add_service_notifications(self) -> User:
        """The user "Telegram", who tells login codes."""
        with self.lock:
            known = self.users.get(SERVICE_NOTIFICATIONS)
            if known is not None:
                return known
            user = self.add_user(
                "Telegram", phone="42777", user_id=SERVICE_NOTIFICATIONS, verified=True
            )
            user.hides_phone = False
            return user

    # Profiles

    def set_username(self, user: Who, username: str) -> None:
        """Give a user a username, or take it away with ""."""
        with self.lock:
            person = self.user(self.resolve(user))
            wanted = username.lstrip("@")
            if wanted and self.usernames.get(wanted.lower(), person.id) != person.id:
                raise ValueError("that username is taken")
            self.usernames.pop(person.username.lower(), None)
            person.username = wanted
            if wanted:
                self.usernames[wanted.lower()] = person.id
            self._name_changed(person)

    def set_profile(
        self,
        user: Who,
        *,
        first_name: str | None = None,
        last_name: str | None = None,
        about: str | None = None,
        photo: Photo | None = None,
    ) -> None:
        """Change what a user's profile shows."""
        with self.lock:
            person = self.user(self.resolve(user))
            person.first_name = person.first_name if first_name is None else first_name
            person.last_name = person.last_name if last_name is None else last_name
            person.about = person.about if about is None else about
            person.photo = photo or person.photo
            self._name_changed(person)

    def _name_changed(self, person: User) -> None:
        self.people_version += 1
        usernames = [types.Username(person.username, editable=True, active=True)]
        update = types.UpdateUserName(
            person.id, person.first_name, person.last_name, usernames if person.username else []
        )
        for viewer_id in self.watchers(person):
            self.updates.tell(viewer_id, [update], {person.id}, keep=True)

    def set_online(self, user: Who, online: bool = True, seconds: int = 300) -> None:
        """Let a user come online for a while, or go offline; contacts are told."""
        with self.lock:
            person, now = self.user(self.resolve(user)), self.now()
            person.online_until = now + seconds if online else 0
            person.last_seen = now
            self.people_version += 1
            for viewer_id in self.watchers(person):
                if viewer_id != person.id:
                    status = user_status(self, viewer_id, person)
                    self.updates.tell(viewer_id, [types.UpdateUserStatus(person.id, status)])

    def watchers(self, person: User) -> list[int]:
        """Logged-in accounts that know this user, themselves included."""
        return [one for one, keys in self.logged_in.items() if keys and self.knows(one, person.id)]

    def delete_account(self, user: Who) -> None:
        """Delete an account: a "deleted account" stays, its sessions answer USER_DEACTIVATED."""
        with self.lock:
            person = self.user(self.resolve(user))
            for authorization in self.authorizations_of(person):
                self.log_out(authorization, refusal="USER_DEACTIVATED")
            self.phones.pop(person.phone, None)
            self.usernames.pop(person.username.lower(), None)
            person.deleted, person.phone, person.username = True, "", ""
            self.people_version += 1

    def ban_phone(self, phone: str) -> None:
        """Telegram bans a number: PHONE_NUMBER_BANNED, and USER_DEACTIVATED_BAN for sessions."""
        with self.lock:
            self.banned_phones.add(normal_phone(phone))
            person = self.by_phone(phone)
            for authorization in self.authorizations_of(person) if person else []:
                self.log_out(authorization, refusal="USER_DEACTIVATED_BAN")

    # Contacts

    def make_contact(
        self,
        owner: Who,
        user: Who,
        *,
        first_name: str = "",
        last_name: str = "",
        mutual: bool = False,
    ) -> Contact:
        """Put `user` into `owner`'s contacts under the owner's own label."""
        with self.lock:
            mine, other = self.user(self.resolve(owner)), self.user(self.resolve(user))
            contact = Contact(
                other.id,
                first_name or other.first_name,
                last_name if first_name else other.last_name,
                other.phone,
                self.now(),
            )
            mine.contacts[other.id] = contact
            self.people_version += 1
            if mutual:
                self.make_contact(other, mine)
            self._contact_changed(mine, other)
            return contact

    def remove_contact(self, owner: Who, user: Who) -> None:
        with self.lock:
            mine, other = self.user(self.resolve(owner)), self.user(self.resolve(user))
            if mine.contacts.pop(other.id, None) is not None:
                self.people_version += 1
                self._contact_changed(mine, other)

    def _contact_changed(self, mine: User, other: User) -> None:
        peer, settings = types.PeerUser(other.id), types.PeerSettings()
        self.updates.tell(mine.id, [types.UpdatePeerSettings(peer, settings)], {other.id})

    def block(self, owner: Who, user: Who, blocked: bool = True) -> None:
        """Block or unblock; messages of the blocked no longer reach the owner."""
        with self.lock:
            mine, other = self.user(self.resolve(owner)), self.resolve(user)
            (mine.blocked.add if blocked else mine.blocked.discard)(other)
            update = types.UpdatePeerBlocked(types.PeerUser(other), blocked=blocked or None)
            self.updates.tell(mine.id, [update], {other})

    # Cloud passwords

    def set_password(self, user: Who, password: str, *, hint: str = "", email: str = "") -> None:
        """Set or, with "", remove a user's 2FA password."""
        with self.lock:
            person = self.user(self.resolve(user))
            if not password:
                person.password = None
                return
            salt = hashlib.sha256(f"{self.seed}:{person.id}:{password}".encode()).digest()
            person.password = srp.make_password(password, salt, hint=hint, email=email)

    # Authorizations

    def log_in(self, authorization: Authorization, user: Who, client: Any = None) -> None:
        """Let an auth key act for a user."""
        with self.lock:
            person = self.user(self.resolve(user))
            if authorization.user_id is not None:
                self.logged_in[authorization.user_id] -= 1
            authorization.user_id = person.id
            authorization.pending_user_id = None
            authorization.refusal = ""
            authorization.hash = self.random_long()
            authorization.date_created = authorization.date_active = self.now()
            if client is not None:
                authorization.client = client
            self.logged_in[person.id] += 1

    def log_out(self, authorization: Authorization, *, refusal: str = "") -> None:
        """End a key's authorization, and those that were exported from it to other DCs.

        `refusal` is what its next calls get instead of AUTH_KEY_UNREGISTERED.
        """
        with self.lock:
            if authorization.user_id is not None:
                self.logged_in[authorization.user_id] -= 1
            authorization.user_id = authorization.pending_user_id = None
            authorization.refusal = refusal
            for other in list(self.authorizations.values()):
                if other.home == authorization.auth_key_id and other.user_id is not None:
                    self.log_out(other, refusal=refusal)

    def authorizations_of(self, user: Who) -> list[Authorization]:
        """A user's own logins, exported copies on other DCs left out."""
        user_id = self.resolve(user)
        known = self.authorizations.values()
        return [one for one in known if one.user_id == user_id and one.home is None]

    def revoke_sessions(self, user: Who, *, keep: int = 0) -> list[int]:
        """Terminate a user's sessions, `keep` (an auth key id) apart; return their key ids.

        Their next call answers 401 SESSION_REVOKED. https://core.telegram.org/api/errors
        """
        with self.lock:
            ended = []
            for authorization in self.authorizations_of(user):
                if authorization.auth_key_id != keep:
                    self.log_out(authorization, refusal="SESSION_REVOKED")
                    ended.append(authorization.auth_key_id)
            return ended

    def tl_authorization(self, authorization: Authorization, *, current: bool = False) -> Any:
        """TL `Authorization` for account.getAuthorizations."""
        client = authorization.client
        return types.Authorization(
            hash=0 if current else authorization.hash,
            device_model=client.device_model,
            platform="",
            system_version=client.system_version,
            api_id=client.api_id,
            app_name="Sandbox",
            app_version=client.app_version,
            date_created=utc(authorization.date_created),
            date_active=utc(authorization.date_active),
            ip=client.ip or "127.0.0.1",
            country="Loopback",
            region="",
            current=current or None,
            password_pending=bool(authorization.pending_user_id) or None,
        )
