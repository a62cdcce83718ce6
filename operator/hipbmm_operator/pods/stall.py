"""How fast a tuner goes: for a while, one that hangs and one that is slow show the same. Pure.

When all problems are done no count moves any more. `warm` limits the time of what follows, so there it is enough that
`warm` lives: it writes a line every 15 s.
"""

from dataclasses import dataclass

from hipbmm_operator.pods.report import LAST_PHASES, TUNING, Progress

LEAST_SECONDS = 45.0
"""No tuner is reported as stalled before: a problem takes seconds, and a hang must show within a minute."""
_TIMES_SLOWER = 5.0
_STEPWISE = frozenset({TUNING, *LAST_PHASES})
"""Only here each step shows: reading or writing a store says nothing for a while."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The last progress, when it was first seen (seconds of a steady clock), and the longest wait for one so far."""

    progress: Progress
    since: float
    longest: float = 0.0


def step(before: Speed | None, progress: Progress, now: float) -> Speed:
    """The speed after the progress was read once more."""
    if before is None or before.progress.phase != progress.phase:
        return Speed(progress, now)
    lives = progress.all_done and before.progress.elapsed != progress.elapsed
    if before.progress == progress and not lives:
        return before
    return Speed(progress, now, max(before.longest, now - before.since))


def stalled(speed: Speed, now: float) -> bool:
    """Whether nothing has come for much longer than anything took before."""
    idle = now - speed.since
    return speed.progress.phase in _STEPWISE and idle > max(LEAST_SECONDS, _TIMES_SLOWER * speed.longest)
