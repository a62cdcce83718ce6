"""Times as a child sends them, in microseconds; pure."""

import statistics

from hipbmm_kernel.rows.gemm import is_time


def times(value: object) -> list[float]:
    """What of a message is a time."""
    return [float(us) for us in value if isinstance(us, float) and us > 0] if isinstance(value, list) else []


def median(found: list[float]) -> float | None:
    """The median in microseconds, to a thousandth; None for no times, or one that no device can have."""
    if not found:
        return None
    us = round(statistics.median(found), 3)
    return us if is_time(us) else None
