"""JSON that somebody else may have written: what is parsed here can be walked, shown and written again.

A text that nests so deeply that it can just be parsed ends whatever is done with it next in a RecursionError.
"""

import json

MAX_DEPTH = 64
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPENING = b"[{"


def parsed(data: bytes) -> object:
    """The value in a JSON text. ValueError when it is none, is not UTF-8, or nests deeper than MAX_DEPTH."""
    text = data.decode()
    if is_deep(data):
        raise ValueError(f"more than {MAX_DEPTH} levels")
    return json.loads(text)


def is_deep(data: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH, counted without recursion and outside strings."""
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    depth = 0
    for bracket in outside_strings.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            return True
    return False
