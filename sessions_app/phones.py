"""Phone numbers in E.164, as Telegram knows its accounts."""

import re

from core.errors import BadRequest

_SEPARATORS = re.compile(r"[\s().\-\u00a0\u2010-\u2015/]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def normalise_phone(text: str) -> str:
    """Return `+` and digits for a number with its country code; raises BadRequest."""
    number = _SEPARATORS.sub("", text)
    if number.startswith("00"):
        number = number[2:]
    number = "+" + number.removeprefix("+")
    if not _E164.fullmatch(number):
        raise BadRequest(
            "A phone number has a country code and 7 to 15 digits, like +12025550123.",
            code="phone_number_invalid",
        )
    return number
