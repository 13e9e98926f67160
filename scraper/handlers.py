"""Live updates keep the cache current: registered with the sink of `sessions_app`."""


def register() -> None:
    """Take part in the transactions of updates and of purges."""
