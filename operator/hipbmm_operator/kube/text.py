"""Text that somebody else wrote, as a status, an Event or a log may show it."""

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def printable(text: str) -> str:
    """Lines without colours, and with a blank for each control character: a terminal shows them as they are."""
    plain = _COLOUR.sub("", text)
    return "".join(char if char.isprintable() or char == "\n" else " " for char in plain)
