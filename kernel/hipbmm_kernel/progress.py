"""Progress lines of `warm` on standard error, as docs/pod-contract.md gives them: the operator reads them.

One line per change but at most one per 2 s, one at the start and one at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from hipbmm_kernel.clock import Clock

INTERVAL = 2.0
PHASES = ("Identity", "Planning", "Loading", "Probing", "Tuning", "Verifying", "Publishing", "Done")


class Progress:
    """Counts what is tuned and failed, and says so."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock.monotonic()
        self._last: float | None = None
        self._said = ""
        self._phase = PHASES[0]
        self._tuned = self._problems = self._failed = 0
        self._tuning_began: float | None = None
        self._tuned_before = 0

    def start(self) -> None:
        """The first line."""
        self._say()

    def phase(self, name: str) -> None:
        """Another phase begins."""
        self._phase = name
        if name == "Tuning":
            self._tuning_began, self._tuned_before = self._clock.monotonic(), self._tuned
        self.tick()

    def plan(self, problems: int, restored: int) -> None:
        """How many problems there are, and how many have a row already."""
        self._problems, self._tuned = problems, restored
        self.tick()

    def tuned(self) -> None:
        """One more row."""
        self._tuned += 1
        self.tick()

    def failed(self) -> None:
        """One more problem that gets no row."""
        self._failed += 1
        self.tick()

    def tick(self) -> None:
        """Say what has changed, if the last line is old enough."""
        now = self._clock.monotonic()
        if self._last is not None and now - self._last < INTERVAL:
            return
        if self._counts() != self._said:
            self._say()

    def done(self, tuned: int, failed: int) -> None:
        """The last line, with the final counts."""
        self._phase, self._tuned, self._failed = PHASES[-1], tuned, failed
        self._say()

    def _counts(self) -> str:
        return f"phase={self._phase} tuned={self._tuned} problems={self._problems} failed={self._failed}"

    def _say(self) -> None:
        now = self._clock.monotonic()
        self._last, self._said = now, self._counts()
        line = f"hipbmm progress {self._said} elapsed_s={now - self._began:.0f} eta_s={self._eta(now):.0f}\n"
        self._stream.write(line)
        self._stream.flush()

    def _eta(self, now: float) -> float:
        """Seconds to go by the speed so far; 0 when nothing is known or nothing is left."""
        done = self._tuned - self._tuned_before
        left = self._problems - self._tuned - self._failed
        if self._phase != "Tuning" or self._tuning_began is None or done <= 0:
            return 0.0
        return max(0.0, (now - self._tuning_began) / done * left)
