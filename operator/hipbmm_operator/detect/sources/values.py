"""Defensive reading of plain objects: a wrong type, a missing key or a hostile value is "absent", never an exception.

Objects arrive as parsed JSON or YAML. Label values of the API are strings, but hand-written YAML makes numbers and
booleans of them (``7551``, ``true``); those are read as the text they were written as, as far as that is still known.
"""

import re
from collections.abc import Collection
from typing import Final, TypeVar

from hipbmm_operator.kube import quantity as quantities

T = TypeVar("T")

_LARGEST: Final = 2**63 - 1
_PRINTED: Final = 63  # the longest value a label may have
_COUNT: Final = re.compile(r"[0-9]{1,9}")


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
    """A quantity such as ``8``, ``"196592Mi"`` or ``"1e3"``, rounded down, never below 0; None when it is not one."""
    found = quantities.value(text(value))
    return None if found is None else max(0, min(int(found), _LARGEST))


def only(values: Collection[T]) -> T | None:
    """The value that is there alone."""
    return next(iter(values)) if len(values) == 1 else None


def shown(value: str, most: int = _PRINTED) -> str:
    """A value from outside as it may stand in a message: at most so many characters, control characters escaped."""
    short = value if len(value) <= most else value[: most - 1] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
