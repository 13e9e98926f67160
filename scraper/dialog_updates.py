"""Live updates keep the cached list of dialogs current."""


def register() -> None:
    """Take part in the transactions of updates."""
