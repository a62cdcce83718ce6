"""What this process asked of the tuning table; the stand-in of the server shows it as metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Lookups that found a row, and lookups that found none and tuned."""

    hits: int = 0
    misses: int = 0


COUNTERS = Counters()
