"""In which order problems are tuned: hot first, and no GPU idle at the end. Pure.

Problems come hot first (small M, most used linear). They are cut into bands of about equal predicted cost; inside a
band the longest goes first. Whatever a budget cuts off is then the coldest, and the last band, drawn longest first by
whichever worker is free, ends on all GPUs at nearly the same time.
"""

from collections.abc import Sequence

BANDS = 6
MIN_BAND_TASKS = 3
"""Tasks per worker that a band holds at least, so that small plans are not cut to pieces."""


def order(costs: Sequence[float], workers: int) -> list[int]:
    """Positions of `costs` (seconds, hot first) in the order in which `workers` should draw them."""
    found: list[int] = []
    for band in _bands(costs, workers):
        found += sorted(band, key=lambda position: (-costs[position], position))
    return found


def _bands(costs: Sequence[float], workers: int) -> list[list[int]]:
    share = sum(costs) / BANDS
    bands: list[list[int]] = []
    band: list[int] = []
    filled = 0.0
    for position, cost in enumerate(costs):
        band.append(position)
        filled += cost
        if filled >= share and len(band) >= MIN_BAND_TASKS * workers:
            bands.append(band)
            band, filled = [], 0.0
    if band and bands and len(band) < MIN_BAND_TASKS * workers:
        bands[-1] += band  # a short last band would leave workers idle while its longest task runs
    elif band:
        bands.append(band)
    return bands
