"""Memories by uid that cannot grow for ever. Pure."""

from typing import Any

MOST = 4096
"""Entries of one memory: some for each pod of a large cluster."""


def trim(memory: dict[Any, Any]) -> None:
    """Forget the entries that were put in first: most likely of objects that are gone."""
    while len(memory) > MOST:
        del memory[next(iter(memory))]
