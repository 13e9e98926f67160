"""Text from Telegram as both databases can hold it."""


def clean(text: str | None, max_length: int) -> str:
    """Return `text` without NUL characters and lone surrogates, cut to `max_length`.

    PostgreSQL takes neither.
    """
    kept = (text or "").replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return kept[:max_length]
