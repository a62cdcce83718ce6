"""Defensive reading of plain objects: a wrong type, a missing key or a hostile value is "absent", never an exception.

Objects arrive as parsed JSON or YAML. Label values of the API are strings, but hand-written YAML makes numbers and
booleans of them (``7551``, ``true``); those are read as the text they were written as, as far as that is still known.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

_EMPTY_MAPPING: Final[Mapping[Any, Any]] = MappingProxyType({})
_LARGEST: Final = 2**63 - 1
_LONGEST_QUANTITY: Final = 64  # longer ones match nothing and would fill the cache
_PRINTED: Final = 63  # the longest value a label may have
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))"
    r"(?:(?P<exponent>[eE][+-]?[0-9]{1,2})|(?P<suffix>[numkMGTPE]|[KMGTPE]i))?"
)
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def mapping(value: object) -> Mapping[Any, Any]:
    """The value when it is a mapping, else an empty one."""
    # The usual cases first: this runs for each field of each object, and the general check is slow.
    if type(value) is dict:
        return value
    if value is None:
        return _EMPTY_MAPPING
    return value if isinstance(value, Mapping) else _EMPTY_MAPPING


def sequence(value: object) -> Sequence[Any]:
    """The value when it is a list or a tuple, else an empty tuple. A string is not a sequence here."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """The text of a scalar; "" for anything else. ``True`` is ``true``, as in the YAML it came from."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of a very long integer raises ValueError.
        return str(value) if -_LARGEST <= value <= _LARGEST else ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _LARGEST else repr(value)
    return ""


def truth(value: object) -> bool:
    """True for ``True`` and for the word ``true`` in any case."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def count(value: object) -> int:
    """A count written as a label value: decimal digits only; anything else is 0."""
    written = text(value)
    return int(written) if _COUNT.fullmatch(written) else 0


def quantity(value: object) -> int | None:
    """A Kubernetes quantity as a whole number.

    ``8``, ``"8k"``, ``"196592Mi"``, ``"1e3"``; rounded down, never below 0; None when it is not one.
    """
    written = text(value)
    return _quantity(written) if len(written) <= _LONGEST_QUANTITY else None


@lru_cache(maxsize=4096)
def _quantity(written: str) -> int | None:
    found = _QUANTITY.fullmatch(written.strip())
    if found is None:
        return None
    number = Decimal(found["number"] + (found["exponent"] or ""))
    number *= _SUFFIXES.get(found["suffix"] or "", Decimal(1))
    return max(0, min(int(number), _LARGEST))


def shown(value: str) -> str:
    """A value from outside as it may stand in a message: at most 63 characters, control characters escaped."""
    short = value if len(value) <= _PRINTED else value[: _PRINTED - 1] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
