"""Settings that change while the hub runs: `DATA_DIR/settings.yaml`, the same for all sessions.

The file is read when it has changed, so an edit by hand and another process's change hold at
once, too. `current()` costs one `stat`.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from rest_framework import serializers

from core.errors import BadRequest, ValidationFailed
from core.validation import validated

logger = logging.getLogger(__name__)

FILE_NAME = "settings.yaml"
MAX_MEDIA_SIZE_MB = 4096
FILE_TYPES = (
    "photos",
    "videos",
    "voice_messages",
    "video_messages",
    "stickers",
    "gifs",
    "files",
)
MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What history, sync and jobs fetch by themselves.

    `max_media_size_mb` None is no limit. `telegram_batch_size` is the size of a page of history.
    `download_file_types` has each of `FILE_TYPES`.
    """

    download_media: bool = True
    max_media_size_mb: float | None = 20
    telegram_batch_size: int = 100
    repair_media: bool = True
    download_file_types: Mapping[str, bool] = field(
        default_factory=lambda: dict.fromkeys(FILE_TYPES, True)
    )

    @property
    def max_media_size_bytes(self) -> int | None:
        """The cap in bytes; None for no limit."""
        return None if self.max_media_size_mb is None else int(self.max_media_size_mb * 1024 * 1024)

    def wants(self, category: str) -> bool:
        """Tell whether files of this category (`engine.methods.shapes.FileCategory`) are wanted."""
        return self.download_media and self.download_file_types.get(category, True)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON, in the order of the document."""
        return asdict(self)


class StrictBooleanField(serializers.BooleanField):
    """True or false; "yes" and 1 are neither."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class MegabytesField(serializers.FloatField):
    """A size above 0; whole numbers stay whole."""

    default_error_messages = {"above_zero": "Must be above 0."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_MEDIA_SIZE_MB, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool | str):
            self.fail("invalid")
        value = super().to_internal_value(data)
        # NaN compares as nothing.
        if not value > 0:
            self.fail("above_zero")
        return int(value) if value.is_integer() else value


class BatchSizeField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=100, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool | float | str):
            self.fail("invalid")
        return super().to_internal_value(data)


class _KnownKeys(serializers.Serializer[Any]):
    """Refuses keys that it does not know, by name."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [str(key)[:100] for key in data if key not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {name: ["There is no such setting."] for name in unknown}
                )
        return super().to_internal_value(data)


class FileTypesInput(_KnownKeys):
    """Which files are fetched; a type that is left out stays as it was."""

    photos = StrictBooleanField(required=False)
    videos = StrictBooleanField(required=False)
    voice_messages = StrictBooleanField(required=False)
    video_messages = StrictBooleanField(required=False)
    stickers = StrictBooleanField(required=False)
    gifs = StrictBooleanField(required=False)
    files = StrictBooleanField(required=False)


class SettingsInput(_KnownKeys):
    """Settings to change; what is left out stays as it was."""

    download_media = StrictBooleanField(required=False)
    max_media_size_mb = MegabytesField(
        required=False, allow_null=True, help_text="above 0 to 4096; null: no limit"
    )
    telegram_batch_size = BatchSizeField(required=False)
    repair_media = StrictBooleanField(required=False)
    download_file_types = FileTypesInput(required=False)


@dataclass(slots=True)
class _Loaded:
    """What was read last, and the state of the file at that time."""

    path: Path | None = None
    mark: tuple[int, int, int] | None = None
    values: RuntimeSettings = field(default_factory=RuntimeSettings)
    error: str = ""


_loaded = _Loaded()
_lock = threading.RLock()


def settings_file() -> Path:
    return Path(settings.DATA_DIR) / FILE_NAME


def current() -> RuntimeSettings:
    """Return the settings as they are now; the file is made when there is none.

    A file that cannot be read is logged, and what held before holds on.
    """
    path = settings_file()
    mark = _mark(path)
    if mark is not None and (path, mark) == (_loaded.path, _loaded.mark):
        return _loaded.values
    with _lock:
        if path != _loaded.path:
            _loaded.path, _loaded.values = path, RuntimeSettings()
        if mark is None:
            _loaded.values, _loaded.error = RuntimeSettings(), ""
            try:
                _write(path, _loaded.values)
            except OSError as exc:
                logger.warning("%s could not be made: %s", FILE_NAME, exc.strerror)
            _loaded.mark = _mark(path)
            return _loaded.values
        try:
            _loaded.values, _loaded.error = read(path), ""
        except BadRequest as exc:
            _loaded.error = exc.detail
            logger.error("%s is not used: %s", FILE_NAME, exc.detail)
        _loaded.mark = mark
        return _loaded.values


def update(changes: Any) -> RuntimeSettings:
    """Merge `changes` into the settings, also inside `download_file_types`, and keep them.

    Raises ValidationFailed, BadRequest while the file cannot be read (it would be lost).
    """
    with _lock:
        values = merged(current(), changes)
        if _loaded.error:
            raise BadRequest(
                f"{FILE_NAME} in the data directory cannot be read; mend it first.",
                code="settings_unreadable",
            )
        _write(settings_file(), values)
        return current()


def replace(text: str) -> RuntimeSettings:
    """Take over a whole YAML file; what it leaves out gets its default."""
    values = parse(text)
    with _lock:
        _write(settings_file(), values)
        return current()


def merged(values: RuntimeSettings, changes: Any) -> RuntimeSettings:
    """Return `values` with validated `changes`; raises ValidationFailed."""
    if not isinstance(changes, Mapping):
        raise ValidationFailed({"non_field_errors": ["An object of settings is expected."]})
    found = validated(SettingsInput, dict(changes))
    types = {**values.download_file_types, **(found.pop("download_file_types", None) or {})}
    return RuntimeSettings(**{**values.as_dict(), **found, "download_file_types": types})


def read(path: Path) -> RuntimeSettings:
    """Return what a settings file says; raises BadRequest."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadRequest("The settings file is too large.")
        return parse(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise BadRequest("The settings file is not UTF-8.") from None
    except OSError as exc:
        raise BadRequest(f"The settings file cannot be read: {exc.strerror}.") from None


def parse(text: str) -> RuntimeSettings:
    """Return what YAML text says, over the defaults; raises BadRequest, ValidationFailed."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise BadRequest(f"This is not YAML{where}.", code="bad_yaml") from None
    return merged(RuntimeSettings(), {} if found is None else found)


def to_yaml(values: RuntimeSettings) -> str:
    """Return the settings as YAML, as the file has them."""
    return str(yaml.safe_dump(values.as_dict(), sort_keys=False))


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size


def _write(path: Path, values: RuntimeSettings) -> None:
    """Put a whole new file in the place of the old one: no reader sees half of it."""
    number, name = tempfile.mkstemp(prefix=".settings-", suffix=".yaml", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(to_yaml(values))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
