"""Error texts in the caller's language.

Texts are written in English where they are raised, and translated where they become an answer:
here. A text with values in it (`Telegram asks to wait 30 seconds.`) is recognised by its
template in the catalogue (`Telegram asks to wait {seconds} seconds.`), whose placeholders take
anything. Codes are never translated. The catalogues are `core/locale/<language>/LC_MESSAGES`;
`manage.py error_texts` lists what they lack.
"""

import gettext as stdlib_gettext
import re
from functools import cache
from pathlib import Path

from django.utils import translation

LOCALE = Path(__file__).parent / "locale"
_PLACEHOLDER = re.compile(r"\\\{(\w*)\\\}")


def translated(text: str) -> str:
    """Return `text` in the active language, or as it is where there is no translation."""
    language = translation.get_language() or "en"
    if language.startswith("en"):
        return text
    known = catalogue(language.partition("-")[0])
    if text in known:
        return known[text]
    for pattern, template in _templates(language.partition("-")[0]):
        if match := pattern.fullmatch(text):
            values = [translated(value) for value in match.groups()]
            return _filled(template, values)
    # Validation names the field first: "limit: A valid integer is required."
    field, colon, rest = text.partition(": ")
    if colon and field.replace("_", "").replace(".", "").isalnum():
        inner = translated(rest)
        if inner != rest:
            return f"{field}: {inner}"
    return text


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return what the catalogue of `language` translates, by the English text."""
    path = LOCALE / language / "LC_MESSAGES" / "django.mo"
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        messages = stdlib_gettext.GNUTranslations(file)
    entries: dict[str, str] = getattr(messages, "_catalog", {})
    return {key: text for key, text in entries.items() if isinstance(key, str) and key and text}


@cache
def _templates(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the texts with placeholders, those with the most text of their own first."""
    found = []
    for key, text in catalogue(language).items():
        names = re.findall(r"\{(\w*)\}", key)
        if not names:
            continue
        pattern = _PLACEHOLDER.sub("(.+?)", re.escape(key))
        # By position in the original, whatever their order in the translation.
        for position, name in enumerate(names):
            text = text.replace("{" + name + "}", "{" + str(position) + "}", 1)
        found.append((len(key), re.compile(pattern, re.DOTALL), text))
    return [(pattern, text) for _, pattern, text in sorted(found, key=lambda each: -each[0])]


def _filled(template: str, values: list[str]) -> str:
    return re.sub(r"\{(\d+)\}", lambda match: values[int(match[1])], template)
