"""What this process asked of the tuning table; the stand-in of the server shows it as metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Lookups that found a row, lookups that found none and tuned, and calls with an index that the caller chose."""

    hits: int = 0
    misses: int = 0
    chosen: int = 0


COUNTERS = Counters()
