"""Words of a text, the same for both databases and for every script. Pure functions.

Text is folded (case, accents, width) and cut at everything that is no letter or digit. Scripts
that write no blanks between words are cut into overlapping pairs: 東京都 gives 東京, 京都, 都; what
is looked for as 京都 is a phrase of such pairs, a single 京 the beginning of one.
"""

import re
import unicodedata
from dataclasses import dataclass

MAX_WORDS = 8_000
MAX_TERMS = 24
MAX_WORD = 64

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u1100-\u11ff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# Vowel signs and viramas of India's scripts are parts of words, though they are no letters.
_SIGNS = "\u0900-\u0963\u0966-\u096f\u0971-\u0df3"
_RUN = re.compile(f"[{_UNSPACED}]+|(?:[^\\W_{_UNSPACED}]|[{_SIGNS}])+")
# Accents, Hebrew points, Arabic vowel marks and the tatweel: with or without them it is one word.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]+"
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_TERM = re.compile(r'(-?)(?:"([^"]*)"|([^\s"]+))')


def fold(text: str) -> str:
    """Return the text without case, accents and differences of width and style."""
    # First apart, then small: styled letters have no case, what they stand for has.
    small = unicodedata.normalize("NFKD", text).casefold()
    kept = _ACCENTS.sub("", unicodedata.normalize("NFKD", small))
    # Hangul and kana come apart when decomposed: put them together again.
    return unicodedata.normalize("NFC", kept)


def words_of(text: str) -> list[str]:
    """Return the words of a text in order, as they are indexed."""
    return _words(fold(text), whole=True)[:MAX_WORDS]


def _words(folded: str, *, whole: bool) -> list[str]:
    found: list[str] = []
    runs = _RUN.findall(folded)
    for number, run in enumerate(runs):
        if not _UNSPACED_RUN.fullmatch(run):
            found.append(run[:MAX_WORD])
            continue
        pairs = [run[start : start + 2] for start in range(len(run))]
        last = number == len(runs) - 1
        # The last character alone is there to be found; looked for, it is in the pair before.
        found += pairs if whole or not last or len(run) == 1 else pairs[:-1]
    return found


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow one another; with `prefix` the last one may go on."""

    words: tuple[str, ...]
    prefix: bool = False
    excluded: bool = False


def parse(query: str) -> list[Term]:
    """Return what a query asks for: words, "phrases", beginnings* and -exclusions, all of them.

    Whatever it holds, it is one of these; [] when nothing can be looked for.
    """
    terms: list[Term] = []
    for minus, phrase, word in _TERM.findall(query.replace("\0", " ")):
        text = phrase or word
        folded = fold(text)
        words = tuple(_words(folded, whole=False))
        if not words:
            continue
        runs = _RUN.findall(folded)
        lonely = len(runs[-1]) == 1 and bool(_UNSPACED_RUN.fullmatch(runs[-1]))
        terms.append(Term(words, lonely or text.endswith("*"), bool(minus)))
        if len(terms) == MAX_TERMS:
            break
    return terms if any(not term.excluded for term in terms) else []


def marks(text: str, terms: list[Term]) -> list[tuple[int, int]]:
    """Return where the terms' words stand in the text, as (start, end) in order."""
    wanted = [(word, term.prefix) for term in terms if not term.excluded for word in term.words]
    found: list[tuple[int, int]] = []
    # Folding changes lengths: each character is folded alone, its place kept.
    folded, places = [], []
    for place, character in enumerate(text):
        for part in fold(character):
            folded.append(part)
            places.append(place)
    line = "".join(folded)
    for found_run in _RUN.finditer(line):
        run, at = found_run[0], found_run.start()
        if _UNSPACED_RUN.fullmatch(run):
            spans = [
                (at + hit.start(), at + hit.start() + len(word))
                for word, _ in wanted
                for hit in re.finditer(f"(?={re.escape(word)})", run)
            ]
        else:
            meant = any(run == word or (prefix and run.startswith(word)) for word, prefix in wanted)
            spans = [found_run.span()] if meant else []
        found += [(places[start], places[end - 1] + 1) for start, end in spans]
    return _joined(found)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
