"""Kubernetes quantities (`1Gi`, `500m`) as exact numbers.

The client's own parser raises for a quantity that it does not know and takes exponents that fill the memory; these come
from people, nodes and drivers.
"""

import re
from decimal import Decimal
from functools import lru_cache

_LONGEST = 64  # longer ones are none, and would fill the cache
_FORM = re.compile(
    r"([+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?"
)
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def value(written: object) -> Decimal | None:
    """The number, or None when it is no quantity."""
    text = str(written) if isinstance(written, str | int) else ""
    return _value(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _value(text: str) -> Decimal | None:
    found = _FORM.fullmatch(text.strip())
    return None if found is None else Decimal(found[1] + (found[2] or "")) * _SUFFIX.get(found[3] or "", Decimal(1))


def equal(first: object, second: object) -> bool:
    """Whether two quantities are the same amount; False when one of them is none."""
    amount = value(first)
    return amount is not None and amount == value(second)
