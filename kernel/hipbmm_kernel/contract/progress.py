"""Progress lines of `warm` on standard error, as docs/pod-contract.md gives them: the operator reads them.

One line per change but at most one per 2 s, one per 15 s without a change while children work, one at the start and one
at the end.
"""

import math
from typing import TextIO

from hipbmm_kernel.system.clock import Clock

INTERVAL = 2.0
LIFE_SECONDS = 15.0
TUNING, IMPROVING, CHECKING = "Tuning", "Improving", "Checking"
"""The last two come when all problems are done: the search for faster kernels, and what one child checks at the end."""
PHASES = ("Identity", "Planning", "Loading", "Probing", TUNING, IMPROVING, CHECKING, "Publishing", "Done")


class Progress:
    """Counts what is tuned, verified and failed, and says so."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock.monotonic()
        self._last: float | None = None
        self._said = ""
        self._phase = PHASES[0]
        self._tuned = self._problems = self._failed = 0
        self._verified: int | None = 0
        self._phase_began = self._began
        self._phase_start = 0

    def start(self) -> None:
        """The first line."""
        self._say()

    def phase(self, name: str) -> None:
        """Another phase begins."""
        if name != self._phase:
            self._phase, self._phase_began = name, self._clock.monotonic()
            self._phase_start = self._done()
        self.tick()

    def plan(self, problems: int, restored: int, verified: int | None = 0) -> None:
        """How many problems there are, how many have a row already, and how many of those are verified.

        `verified` is None where nothing is verified: then no line has a count of it, which would never move.
        """
        self._problems, self._tuned, self._verified = problems, restored, verified
        self.tick()

    def tuned(self) -> None:
        """One more row."""
        self._tuned += 1
        self.tick()

    def failed(self) -> None:
        """One more problem that gets no row."""
        self._failed += 1
        self.tick()

    def verified(self) -> None:
        """One more row was found right."""
        if self._verified is not None:
            self._verified += 1
        self.tick()

    def refuted(self) -> None:
        """A row was found wrong, and its problem has no other."""
        self._tuned -= 1
        self.failed()

    def tick(self) -> None:
        """Say what has changed, if the last line is old enough; that this process lives, if it is much older."""
        since = math.inf if self._last is None else self._clock.monotonic() - self._last
        if since >= (LIFE_SECONDS if self._counts() == self._said else INTERVAL):
            self._say()

    def done(self, tuned: int, failed: int) -> None:
        """The last line, with the final counts."""
        self._phase, self._tuned, self._failed = PHASES[-1], tuned, failed
        self._say()

    def _counts(self) -> str:
        verified = "" if self._verified is None else f" verified={self._verified}"
        return f"phase={self._phase} tuned={self._tuned} problems={self._problems} failed={self._failed}{verified}"

    def _say(self) -> None:
        now = self._clock.monotonic()
        self._last, self._said = now, self._counts()
        line = f"hipbmm progress {self._said} elapsed_s={now - self._began:.0f} eta_s={self._eta(now):.0f}\n"
        self._stream.write(line)
        self._stream.flush()

    def _done(self) -> int:
        return self._tuned + self._failed

    def _eta(self, now: float) -> float:
        """Seconds that this phase still takes at its speed so far; 0 when nothing is known or nothing is left."""
        if self._phase != TUNING:
            return 0.0
        done = self._done() - self._phase_start
        left = self._problems - self._done()
        return max(0.0, (now - self._phase_began) / done * left) if done > 0 else 0.0
