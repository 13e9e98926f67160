"""System checks of what a type cannot check: keys, open doors, foreign origins."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connection

from core.crypto import CryptoError, WrongKey, keyring
from core.fields import EncryptedField, encrypted_fields
from core.network import LOOPBACK_HOSTS, is_loopback, network
from engine import conf

KEY_HINT = (
    "Give every key that was ever used, the current one first, comma separated, "
    "each the base64 of 32 random bytes."
)


@register(Tags.security)
def check_keyring(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """core.E001: the encryption keys can be read."""
    try:
        keyring()
    except CryptoError as error:
        return [Error(str(error), hint=KEY_HINT, id="core.E001")]
    return []


@register(Tags.database)
def check_stored_secrets(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """core.E002: what is stored can be opened with the keys that were given.

    Tries the newest value of each encrypted column.
    """
    try:
        keyring()
        tables = set(connection.introspection.table_names())
    except (CryptoError, DatabaseError):
        return []  # the keys have their own check, a database without tables has no secrets
    messages: list[CheckMessage] = []
    for model in apps.get_models():
        if model._meta.db_table not in tables:
            continue
        for field in encrypted_fields(model):
            messages += _try_newest(model, field)
    return messages


def _try_newest(model: Any, field: EncryptedField) -> list[CheckMessage]:
    rows = model._base_manager.exclude(**{f"{field.name}__isnull": True}).order_by("-pk")
    try:
        row = rows.values_list(field.uid_field, field.name).first()
    except DatabaseError:
        return []  # migrations are still to come
    if row is None:
        return []
    try:
        field.unseal(*row)
    except WrongKey:
        text = (
            f"{model._meta.label}.{field.name} was encrypted with a key that "
            "TGHUB_ENCRYPTION_KEYS does not hold."
        )
        return [Error(text, hint=KEY_HINT, id="core.E002")]
    except (CryptoError, ValueError):
        text = f"{model._meta.label}.{field.name} holds a value that no key opens."
        return [Error(text, hint="Restore the database from a backup.", id="core.E003")]
    return []


@register(Tags.security)
def check_open_mode(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """core.E004: open mode is bound to this machine, unless somebody insists."""
    host = settings.TGHUB_HOST
    local = is_loopback(host) or host in LOOPBACK_HOSTS or is_loopback(host.strip("[]"))
    if settings.TGHUB_AUTH != "open" or local or settings.TGHUB_OPEN_ANYWHERE:
        return []
    return [
        Error(
            "In open mode anybody who reaches the hub owns it, and TGHUB_HOST is not loopback.",
            hint="Use TGHUB_AUTH=keys, bind 127.0.0.1, or set TGHUB_OPEN_ANYWHERE=1.",
            id="core.E004",
        )
    ]


@register(Tags.security)
def check_origins(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """core.E005: no origin is a wildcard; the admin's cookies would follow."""
    if "*" in settings.CORS_ALLOWED_ORIGINS or getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
        return [
            Error(
                "CORS_ORIGINS holds a wildcard.",
                hint="Name each origin, such as https://app.example.org.",
                id="core.E005",
            )
        ]
    return []


@register(Tags.security)
def check_proxies(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """core.E006: TRUSTED_PROXIES are addresses or networks."""
    messages: list[CheckMessage] = []
    for text in settings.TRUSTED_PROXIES:
        try:
            network(text)
        except ValueError:
            messages.append(
                Error(
                    f"{text!r} in TRUSTED_PROXIES is no address and no network.",
                    hint="Write 10.0.0.0/8 or 192.0.2.1.",
                    id="core.E006",
                )
            )
    return messages


@register(Tags.security)
def check_telegram_server(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """core.E007, E008: the other Telegram server and its key can be read, where they are given."""
    messages: list[CheckMessage] = []
    try:
        conf.parse_dc(settings.TELEGRAM.get("DC") or "")
    except ValueError:
        hint = "Write 2@149.154.167.40:443, or leave it out for Telegram's own servers."
        messages.append(
            Error("TELEGRAM_DC is not <dc id>@<host>:<port>.", hint=hint, id="core.E007")
        )
    path = settings.TELEGRAM.get("DC_PUBLIC_KEY")
    if path:
        try:
            readable = isinstance(load_pem_public_key(Path(path).read_bytes()), RSAPublicKey)
        except (OSError, ValueError, UnsupportedAlgorithm):
            readable = False
        if not readable:
            hint = "Give the path of a PEM file that holds the server's RSA public key."
            messages.append(
                Error("TELEGRAM_DC_PUBLIC_KEY cannot be read.", hint=hint, id="core.E008")
            )
    return messages
