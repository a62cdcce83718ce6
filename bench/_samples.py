"""Figures of a sample: mean, sigma, n and percentiles by nearest rank."""

import math
import statistics
from collections.abc import Sequence


def described(name: str, values: Sequence[float], *percentiles: int) -> dict[str, float]:
    """`name, mean`, `name, sigma`, `name, n` and `name, pP` of a sample with at least two values."""
    figures = {
        f"{name}, mean": statistics.mean(values),
        f"{name}, sigma": statistics.stdev(values),
        f"{name}, n": float(len(values)),
    }
    return figures | {f"{name}, p{share}": percentile(values, share) for share in percentiles}


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that at least `share` percent of the sample do not exceed."""
    return sorted(values)[max(0, math.ceil(share / 100 * len(values)) - 1)]
