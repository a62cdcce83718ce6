"""JSON, read and written by orjson: half of the processor time of an operator with 1,000 resources was json's.

`canonical` is what hashes are made of that are kept in the cluster, so it never changes: where orjson writes a value
differently from the standard library, the standard library's form is the one.
"""

import json
import re
from typing import Any

import orjson

Json = dict[str, Any]
"""An object of the API as it travels."""

_EXPONENT = re.compile(rb"e(?<=\de)[-+\d]")
"""Quick: what looks like the exponent of a number, such as a part of a hash, which most texts of ours have."""
_NUMBER_WITH_EXPONENT = re.compile(rb"(?:^|[\[:,])-?\d[\d.]*e")
"""Slow: a number where a value may stand. The standard library writes 1e-05 and 1e+16, orjson 1e-5 and 1e16."""
_DELETE = b"\x7f"
"""The one character of ASCII that the standard library escapes and orjson does not."""


def loads(data: bytes | str) -> Any:  # noqa: ANN401  # any JSON
    """The value; ValueError for what is no JSON."""
    return orjson.loads(data)


def dumps(value: object) -> bytes:
    """UTF-8, keys in order, without spaces: equal values are equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def canonical(value: object) -> str:
    """The one text that equal values have, in ASCII: `json.dumps` with sorted keys and without spaces."""
    try:
        data = dumps(value)
    except TypeError:
        # Integers of more than 64 bits, and text that is no Unicode.
        return _standard(value)
    if not data.isascii() or _DELETE in data or (_EXPONENT.search(data) and _NUMBER_WITH_EXPONENT.search(data)):
        return _standard(value)
    return data.decode()


def _standard(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
