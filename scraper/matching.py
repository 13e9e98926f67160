"""How well a title matches what is looked for."""

import unicodedata

from rapidfuzz import fuzz

SUBSTRING_SCORE = 0.8


def score(query: str, title: str) -> float:
    """Return how well a title matches, 0 to 1, whatever the case; a substring gets 0.8 or more."""
    wanted, text = folded(query), folded(title)
    if not wanted or not text:
        return 0.0
    fuzzy = fuzz.WRatio(wanted, text) / 100
    if wanted in text:
        return max(fuzzy, SUBSTRING_SCORE + (1 - SUBSTRING_SCORE) * len(wanted) / len(text))
    return min(fuzzy, 0.99)


def folded(text: str) -> str:
    """Return a text as it is compared: case and forms of letters do not count."""
    return unicodedata.normalize("NFKC", text).casefold().strip()
