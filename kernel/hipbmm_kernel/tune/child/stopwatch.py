"""Timing GEMMs against each other on the device, without the host's share and without a warm cache.

A decode GEMM takes 6 to 20 us and a launch through torch costs the host 30 us: eager launches of small M all look alike
(one H200, torch 2.11, N=10240 K=5120 M=1..64: 29 to 31 us eager, 18.2 to 18.8 us by replay). So launches are captured
in graphs. Every graph holds all contenders, interleaved, so the clocks and caches that one meets the others meet, too.
Events inside a graph would need external events, which torch has for CUDA only. Instead there is one graph for each
contender that holds it three times as often as the others, and the difference of the graphs is what it takes. Each
launch reads another copy of the operands, so that what a layer of a model would read from HBM is not read from a cache.
"""

import functools
from collections.abc import Callable, Sequence

import torch

Launch = Callable[[int], object]

ROTATED_BYTES = 512 << 20
"""Twice the 256 MiB cache behind the L2 of an MI300X (AMD, CDNA 3 white paper); hipblaslt-bench rotates as much."""
MAX_SETS = 64
"""Copies at most. With the smallest weights of a model that is served (8192 x 1024 at tensor parallel size 8) 64 copies
make 512 MiB."""
ROUND_US = 1000.0
"""Of one replay: an event resolves about 1 us (HIP and CUDA document 0.5 us), which is 0.1 % of it."""
MAX_LAUNCHES = 4 * MAX_SETS
WARM_UPS = 2
HOST_US_PER_LAUNCH = 40.0
"""What the host needs at most to enqueue one call where no graph can be replayed: 29 to 31 us were measured."""
CALIBRATION_CYCLES = 1_000_000


def sets_for(weight_bytes: int) -> int:
    """How many copies of a weight make ROTATED_BYTES."""
    return max(1, min(MAX_SETS, -(-ROTATED_BYTES // max(1, weight_bytes))))


def mixed(contenders: Sequence[Launch], most: int) -> list[Launch]:
    """Every contender once, and the one at `most` twice more, before and after them."""
    return [contenders[most], *contenders, contenders[most]]


def separated(groups: Sequence[float]) -> list[float]:
    """Times of one launch of each contender, from those of a group of each mixture.

    A group takes the sum of all plus twice its own contender, so the sum of the n groups is (n + 2) sums.
    """
    each_once = sum(groups) / (len(groups) + 2)
    return [(group - each_once) / 2 for group in groups]


class Stopwatch:
    """Races calls on the current device."""

    def race(self, contenders: Sequence[Launch], sets: int, rounds: int) -> list[list[float]]:
        """Microseconds of one launch of each contender in each round. A contender launches on a set of operands.

        Which graph goes first alternates, so that drift between two of them hits all contenders alike.
        """
        slowest = max(self.estimate(launch) for launch in contenders)
        launches = min(MAX_LAUNCHES, max(sets, int(ROUND_US / max(slowest, 0.1))))
        groups = max(1, launches // (len(contenders) + 2))
        laps = [self._lap(mixed(contenders, most) * groups, sets) for most in range(len(contenders))]
        times: list[list[float]] = [[] for _ in contenders]
        for turn in range(rounds):
            order = list(range(len(laps)))[:: 1 if turn % 2 == 0 else -1]
            measured = {which: laps[which]() / groups for which in order}
            for which, us in enumerate(separated([measured[which] for which in range(len(laps))])):
                times[which].append(us)
        return times

    def estimate(self, launch: Launch) -> float:
        """Microseconds of one call with the host's share hidden as far as a sleeping device hides it."""
        launch(0)
        return self._eager([launch] * WARM_UPS, 1)() / WARM_UPS

    def _lap(self, launches: Sequence[Launch], sets: int) -> Callable[[], float]:
        """A function that runs all launches and says how many microseconds they took; it has run once."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                for number, launch in enumerate(launches):
                    launch(number % sets)
            graph.replay()
            torch.cuda.synchronize()
        except (RuntimeError, NotImplementedError):  # a device or a build without graphs
            return self._eager(launches, sets)
        return lambda: _timed(graph.replay)

    def _eager(self, launches: Sequence[Launch], sets: int) -> Callable[[], float]:
        """The same without a graph: a sleep kernel keeps the device busy until all launches are enqueued."""

        def enqueue() -> None:
            for number, launch in enumerate(launches):
                launch(number % sets)

        return lambda: _timed(enqueue, lambda: self._occupy(len(launches) * HOST_US_PER_LAUNCH))

    def _occupy(self, us: float) -> None:
        if self._cycles_per_us:
            torch.cuda._sleep(int(us * self._cycles_per_us))  # noqa: SLF001 - torch's own tests time with it

    @functools.cached_property
    def _cycles_per_us(self) -> float:
        """Cycles of the sleep kernel in one microsecond; 0 where torch has none, and the host's share counts."""
        try:
            torch.cuda._sleep(CALIBRATION_CYCLES)  # noqa: SLF001 - as above; the first one loads the kernel
            us = _timed(lambda: torch.cuda._sleep(CALIBRATION_CYCLES))  # noqa: SLF001 - as above
        except (AttributeError, RuntimeError):
            return 0.0
        return CALIBRATION_CYCLES / us if us > 0 else 0.0


def _timed(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Microseconds that `work` keeps the device busy; `before` is enqueued in front of it."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before()
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1000.0
