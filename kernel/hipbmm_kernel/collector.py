"""Python's cycle collector, set for what this program does: it builds many small tuples and hardly a cycle.

With the defaults a merge of 200,000 rows spends a quarter of its time looking through rows for cycles.
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""New containers before the young ones are looked through; their garbage in between is a few megabytes at most."""


def relax() -> None:
    """Look for cycles less often. Call it once, at the start of the process."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
