"""Kubernetes quantities (`1Gi`, `500m`) as exact numbers, to compare what was asked with what the API server stored."""

import re
from decimal import Decimal, InvalidOperation

_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(1000),
    "M": Decimal(1000**2),
    "G": Decimal(1000**3),
    "T": Decimal(1000**4),
    "P": Decimal(1000**5),
    "E": Decimal(1000**6),
    "Ki": Decimal(1024),
    "Mi": Decimal(1024**2),
    "Gi": Decimal(1024**3),
    "Ti": Decimal(1024**4),
    "Pi": Decimal(1024**5),
    "Ei": Decimal(1024**6),
}
_FORM = re.compile(r"^([+-]?[0-9.]+)(?:([eE][+-]?[0-9]{1,3})|([numkKMGTPE]i?))?$")


def value(text: str | int) -> Decimal | None:
    """The number, or None when it is no quantity."""
    found = _FORM.match(str(text))
    if found is None or (found[3] or "") not in _SUFFIX:
        return None
    try:
        return Decimal(found[1] + (found[2] or "")) * _SUFFIX[found[3] or ""]
    except InvalidOperation:
        return None


def equal(first: object, second: object) -> bool:
    """Whether two quantities are the same amount; False when one of them is none."""
    if not isinstance(first, str | int) or not isinstance(second, str | int):
        return False
    one, two = value(first), value(second)
    return one is not None and one == two
