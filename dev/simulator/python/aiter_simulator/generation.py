"""Which generation of AITER the stand-in is: two of them write the table, and only the newer knows `use_gelu`."""

import re
from importlib.metadata import version

from aiter_simulator import settings

_LAST_OLD = (0, 1, 11)


def is_old(name: str) -> bool:
    """Whether a version (v0.1.10.post2 to v0.1.11) lacks `use_gelu` and the check for zero solutions."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", name)
    if numbers is None:
        raise settings.SettingError(f"{name!r} is not a version of AITER")
    return tuple(map(int, numbers.groups())) <= _LAST_OLD


OLD = is_old(settings.text("AITER") or version("amd-aiter"))
