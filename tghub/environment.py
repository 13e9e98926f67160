"""The environment as people fill it in: empty is unset, and what is wrong is said plainly."""

import re
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

DATABASES = re.compile(r"(sqlite|postgres|postgresql|psql|pgsql)://")


class Environment(environ.FileAwareEnv):  # type: ignore[misc]
    """Reads variables and their `_FILE` variants, and takes every value as it stands.

    An empty variable counts as unset, as in a `.env` that was copied and not filled in yet.
    What cannot be read raises ImproperlyConfigured, which names the variable, never its value.
    """

    def get_value(
        self,
        var: Any,
        cast: Any = None,
        default: Any = environ.Env.NOTSET,
        parse_default: bool = False,
    ) -> Any:
        try:
            text = self.ENVIRON.get(var, "").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ImproperlyConfigured(
                f"{var}_FILE names a file that cannot be read: {reason}."
            ) from None
        if not text:
            return None if default is self.NOTSET else default
        try:
            return self.parse_value(text, cast)
        except (ValueError, TypeError):
            kind = {int: "a whole number", float: "a number"}.get(cast, "a value that can be read")
            raise ImproperlyConfigured(f"{var} is not {kind}.") from None

    def database(self, var: str, default: str) -> dict[str, Any]:
        """Return the database that a URL names."""
        url = self.get_value(var, str, default)
        try:
            if DATABASES.match(url):
                config: dict[str, Any] = self.db_url_config(url)
                return config
        except ValueError:
            pass  # a port that is none
        raise ImproperlyConfigured(
            f"{var} is no database URL. Write sqlite:////path/to/file.sqlite3 or "
            "postgres://user:password@host:5432/name."
        )
