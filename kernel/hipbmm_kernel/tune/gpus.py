"""Which value of HIP_VISIBLE_DEVICES gives a child one GPU of this container."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SELECTORS = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""In the order in which HIP reads them; the first that is set wins."""


def visible_gpus(env: Mapping[str, str], count: int) -> tuple[str, ...]:
    """One value per GPU that HIP would show: the user's own selection if there is one, else all `count` of them."""
    for name in SELECTORS:
        if name in env:
            chosen = [part.strip() for part in env[name].split(",")]
            # HIP ignores everything from the first entry that is no device on.
            valid = [part for part in chosen if part and part != "-1"]
            return tuple(dict.fromkeys(valid))
    return tuple(str(number) for number in range(count))
