"""Encrypt what is stored with the key that seals now."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import transaction

from core.crypto import keyring
from core.fields import EncryptedField, encrypted_fields


def rotate(*, batch: int = 200) -> Iterator[tuple[str, int, int]]:
    """Re-encrypt each encrypted column; yield (column, rows rotated, rows already current).

    Short transactions, and each value only if nobody changed it meanwhile (then it is
    sealed with the new key anyway): a running hub goes on, and a second run goes on
    where a first one was killed. Raises WrongKey, Tampered.
    """
    for model in apps.get_models():
        for field in encrypted_fields(model):
            yield _rotate_column(model, field, batch)


def _rotate_column(model: Any, field: EncryptedField, batch: int) -> tuple[str, int, int]:
    rotated = current = 0
    rows = model._base_manager.exclude(**{f"{field.name}__isnull": True}).order_by("pk")
    last_pk: Any = None
    while True:
        following = rows if last_pk is None else rows.filter(pk__gt=last_pk)
        found = list(following.values_list("pk", field.uid_field, field.name)[:batch])
        if not found:
            return f"{model._meta.label}.{field.name}", rotated, current
        last_pk = found[-1][0]
        with transaction.atomic():
            for pk, uid, sealed in found:
                if keyring().is_current(sealed):
                    current += 1
                    continue
                value = field.seal(uid, field.unseal(uid, sealed))
                same = model._base_manager.filter(pk=pk, **{field.name: sealed})
                rotated += same.update(**{field.name: value})
