"""What arguments of the commands may be, known before Django reads its settings."""

from argparse import ArgumentTypeError

HIGHEST_PORT = 65535


def port(text: str) -> int:
    """Return the port that `text` names; 0 is any free one."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= HIGHEST_PORT:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {HIGHEST_PORT}")
    return number
