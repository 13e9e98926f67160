"""The environment as people fill it in: empty is unset, and what is wrong is said plainly."""

import re
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

DATABASES = re.compile(r"(sqlite|postgres|postgresql|psql|pgsql)://")
WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on", "y"), True),
    **dict.fromkeys(("0", "false", "no", "off", "n"), False),
}
KINDS = {bool: "on or off", int: "a whole number", float: "a number"}


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
            # The base class takes whatever it does not know for false.
            return WORDS[text.lower()] if cast is bool else self.parse_value(text, cast)
        except (KeyError, ValueError, TypeError):
            kind = KINDS.get(cast, "a value that can be read")
            raise ImproperlyConfigured(f"{var} is not {kind}.") from None

    def within(
        self,
        var: str,
        cast: type[int] | type[float],
        default: Any,
        least: int = 0,
        most: int | None = None,
    ) -> Any:
        """Return a number that is no less than `least` and no more than `most`."""
        value = self.get_value(var, cast, default)
        if value is not None and not least <= value <= (value if most is None else most):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise ImproperlyConfigured(f"{var} is not {KINDS[cast]} {span}.")
        return value

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
