"""JSON, read and written by orjson, but for the text that hashes are made of."""

import json
from collections.abc import Iterator
from typing import Any

import orjson

Json = dict[str, Any]
"""An object of the API as it travels."""


def loads(data: bytes | str) -> Any:  # noqa: ANN401  # any JSON
    """The value; ValueError for what is no JSON."""
    return orjson.loads(data)


def dumps(value: object) -> bytes:
    """UTF-8, keys in order, without spaces: equal values are equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def canonical(value: object) -> str:
    """The one text that equal values have, in ASCII. Hashes of it are kept in clusters, so it never changes.

    By the standard library: orjson writes some numbers and characters in another way.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def missing(value: object, other: object, path: str) -> Iterator[str]:
    """Paths of the fields of a value that another lacks; one beyond the end of a list is not missing."""
    if isinstance(value, dict) and isinstance(other, dict):
        for key, each in value.items():
            at = f"{path}.{key}"
            yield from missing(each, other[key], at) if key in other else [at]
    elif isinstance(value, list) and isinstance(other, list):
        for number, (each, its) in enumerate(zip(value, other, strict=False)):
            yield from missing(each, its, f"{path}[{number}]")
