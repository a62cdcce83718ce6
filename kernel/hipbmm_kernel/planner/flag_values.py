"""The values of a server's flags, as vLLM's parser and pydantic read them. What is none of a kind is None or empty."""

import contextlib
import json

MAX_ARGUMENT = 65_536
MAX_COUNT = 2**31 - 1
NO_WEIGHT = "none"
"""A method that leaves weights as they are."""
_DECIMAL = {"k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def integer(text: str) -> int | None:
    """A number as vLLM reads it, with its suffixes (1k is 1000, 1K is 1024), or None."""
    text = text.strip()
    decimal, factor = text[-1:] in _DECIMAL, _DECIMAL.get(text[-1:]) or _BINARY.get(text[-1:], 1)
    if factor == 1:
        number = whole(text)
        return None if number is None or number < 0 else min(number, MAX_COUNT)
    digits = text[:-1]
    before, _, fraction = digits.partition(".") if decimal else (digits, "", "")
    if not f"{before}{fraction}".isdecimal() or not digits.isascii() or len(digits) > len(str(MAX_COUNT)):
        return None
    return min(int(float(digits) * factor) if fraction else int(before) * factor, MAX_COUNT)


def json_value(text: str) -> object:
    """A JSON value, or the text itself when it is none (`NONE`)."""
    if len(text) > MAX_ARGUMENT:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def count_of(value: object) -> int | None:
    """A number above 0 as pydantic takes it; no truth value."""
    number = None if isinstance(value, bool) else whole(value)
    return number if number is not None and 0 < number <= MAX_COUNT else None


def whole(value: object) -> int | None:
    """A whole number as pydantic takes it: truth values are 0 and 1; texts of digits, `+8` and `8.0` count."""
    if isinstance(value, str):
        digits, _, fraction = value.strip().partition(".")
        short = len(digits) <= len(str(MAX_COUNT)) and digits.isascii() and not fraction.strip("0")
        with contextlib.suppress(ValueError):
            return int(digits) if short else None
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def counts_of(value: object) -> tuple[int, ...] | None:
    """The numbers above 0 in a list."""
    if not isinstance(value, (list, tuple)):
        return None
    numbers = (integer(item) if isinstance(item, str) else item for item in value)
    return tuple(number for number in map(count_of, numbers) if number is not None)


def empty_inputs(limits: dict[str, object]) -> frozenset[str]:
    """The kinds of input of which `--limit-mm-per-prompt` lets no request have one: 0, or an object with `count`."""
    numbers = {kind: limit.get("count") if isinstance(limit, dict) else limit for kind, limit in limits.items()}
    return frozenset(kind for kind, number in numbers.items() if whole(number) == 0)


def weight_of(value: object) -> str:
    """What `linear` of an online quantisation says of weights: a name, or an object whose `weight` may be missing."""
    return text_of(value.get("weight")) or NO_WEIGHT if isinstance(value, dict) else text_of(value)


def pairs_of(value: object) -> tuple[tuple[str, str], ...]:
    """The names and values of an object whose value is a text."""
    if not isinstance(value, dict):
        return ()
    return tuple((str(name), text) for name, text in value.items() if isinstance(text, str))


def texts_of(value: object) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def text_of(value: object) -> str:
    """A text."""
    return value if isinstance(value, str) else ""
