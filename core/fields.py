"""Model fields whose values stand encrypted in the database, bound to their row.

The model needs a `uid` (a UUID made before the row is saved): a sealed value is
authenticated with model, column and uid, and opens nowhere else. It is opened when
the attribute is read, never when the row is loaded.
"""

import base64
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from core import json
from core.crypto import keyring

SERIALIZED_PREFIX = "sealed:"


class Sealed(bytes):
    """A value as the database holds it: encrypted."""

    def __repr__(self) -> str:
        return "<Sealed>"


class _FromFixture(Sealed):
    """Stays sealed when read: `loaddata` saves attributes as they are."""


class _SealedAttribute(DeferredAttribute):
    """Opens the sealed value on reading; keeps what was set as it is."""

    field: "EncryptedField"

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed) and not isinstance(value, _FromFixture):
            return self.field.unseal(getattr(instance, self.field.uid_field), value)
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class EncryptedField(_Field):
    """Base of the encrypted fields. Querying by value is impossible (`isnull` works).

    Writing past an instance (`QuerySet.update`, `bulk_update`) needs a value sealed
    with `field_of(Model, "name").seal(uid, value)`; plain values are refused.
    """

    descriptor_class = _SealedAttribute
    uid_field = "uid"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def get_internal_type(self) -> str:
        return "BinaryField"

    def encode(self, value: Any) -> bytes:
        raise NotImplementedError

    def decode(self, plaintext: bytes) -> Any:
        raise NotImplementedError

    def seal(self, uid: Any, value: Any) -> Sealed:
        """Return `value` encrypted for the row that has `uid`."""
        return Sealed(keyring().seal(self.encode(value), aad=self._aad(uid)))

    def unseal(self, uid: Any, sealed: bytes) -> Any:
        """Return the value of the row that has `uid`; raises WrongKey, Tampered."""
        return self.decode(keyring().open(sealed, aad=self._aad(uid)))

    def _aad(self, uid: Any) -> bytes:
        return f"{self.model._meta.label_lower}|{self.name}|{uid}".encode()

    def pre_save(self, model_instance: models.Model, add: bool) -> Sealed | None:
        value = model_instance.__dict__.get(self.attname)
        if value is None or isinstance(value, Sealed):
            return value
        sealed = self.seal(getattr(model_instance, self.uid_field), value)
        model_instance.__dict__[self.attname] = sealed
        return sealed

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError(f"{self.name} is encrypted: save the instance, or seal the value.")
        return connection.Database.Binary(bytes(value))

    def value_from_object(self, obj: models.Model) -> Any:
        """Return the sealed value: forms and fixtures never see the secret."""
        return obj.__dict__.get(self.attname)

    def value_to_string(self, obj: models.Model) -> str:
        sealed = self.pre_save(obj, add=False)
        return SERIALIZED_PREFIX + base64.b64encode(sealed or b"").decode()

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(SERIALIZED_PREFIX):
            return _FromFixture(base64.b64decode(value.removeprefix(SERIALIZED_PREFIX))) or None
        return value


class EncryptedBinaryField(EncryptedField):
    def encode(self, value: Any) -> bytes:
        return bytes(value)

    def decode(self, plaintext: bytes) -> bytes:
        return plaintext


class EncryptedTextField(EncryptedField):
    def encode(self, value: Any) -> bytes:
        return str(value).encode("utf-8", "surrogatepass")

    def decode(self, plaintext: bytes) -> str:
        return plaintext.decode("utf-8", "surrogatepass")


class EncryptedJSONField(EncryptedField):
    """Holds what JSON can express; a change inside the value needs it to be set again."""

    def encode(self, value: Any) -> bytes:
        return json.dumps(value)

    def decode(self, plaintext: bytes) -> Any:
        return json.loads(plaintext)


def field_of(model: type[models.Model], name: str) -> EncryptedField:
    """Return the encrypted field `name` of `model`, to seal and unseal past an instance."""
    field = model._meta.get_field(name)
    if not isinstance(field, EncryptedField):
        raise TypeError(f"{model._meta.label}.{name} is not encrypted.")
    return field


def encrypted_fields(model: type[models.Model]) -> list[EncryptedField]:
    """Return the encrypted fields that `model` has a column for."""
    return [f for f in model._meta.concrete_fields if isinstance(f, EncryptedField)]
