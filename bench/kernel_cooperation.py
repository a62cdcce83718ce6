"""How often pods that start at once tune one problem twice: `tune.cooperation`, with a clock that is a number.

Each pod sees the others' names at its start, publishes once a second and looks once a second; children are ready after
some seconds. Figures: problems tuned in all / in the plan, and seconds until the last pod has every row.
"""

import heapq
import random
from typing import NamedTuple

from bench.kernel_tuning import QWEN3_32B_TP1
from hipbmm_kernel.planner import cost
from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.tune import cooperation
from hipbmm_kernel.tune.others import PUBLISH_SECONDS, REFRESH_SECONDS, STALLED_SECONDS

READY_SECONDS = 5.0
SEEDS = 3
PODS = (1, 2, 4, 8, 16, 32)


class Result(NamedTuple):
    """`tuned` is in all / in the plan; times in seconds since the first pod began."""

    tuned: float
    seconds: float
    skew: float


class Pod:
    """What one pod knows and does."""

    def __init__(self, name: str, began: float, dies: float) -> None:
        self.name = name
        self.began = began
        self.dies = dies
        self.known: set[Problem] = set()
        self.begun: set[Problem] = set()
        self.looked = float("-inf")
        self.progress: dict[str, tuple[int, float]] = {}
        self.done = began

    def look(self, now: float, visible: dict[Problem, float], pods: list[str]) -> None:
        """Read the store."""
        self.looked = now
        self.known = {problem for problem, at in visible.items() if at <= now}
        counts = dict.fromkeys(pods, 0)
        for problem in self.known:
            counts[cooperation.owner(pods, problem)] += 1
        for pod, count in counts.items():
            if self.progress.get(pod, (-1, 0.0))[0] != count:
                self.progress[pod] = (count, now)

    def stalled(self, now: float) -> list[str]:
        """Pods from which nothing has come for a while."""
        return [pod for pod, (_, since) in self.progress.items() if now - since > STALLED_SECONDS]


def simulate(
    problems: tuple[Problem, ...],
    pods: int,
    gpus: int = 1,
    seed: int = 0,
    late: float = 5.0,
    lag: float = 0.2,
    dead: int = 0,
) -> Result:
    """One start of so many pods within `late` seconds; a row is seen `lag` seconds after it is published.

    The first `dead` pods die two seconds after their children are ready.
    """
    chance = random.Random(seed)
    begins = sorted(chance.uniform(0, late) for _ in range(pods))
    made = [
        Pod(f"{seed}-{at}", begin, begin + READY_SECONDS + 2 if at < dead else float("inf"))
        for at, begin in enumerate(begins)
    ]
    visible: dict[Problem, float] = {}
    tuned = 0
    events: list[tuple[float, int, Pod, Problem | None]] = []
    for pod in made:
        for _ in range(gpus):
            heapq.heappush(events, (pod.began + READY_SECONDS + chance.random(), len(events), pod, None))
    number = len(events)
    while events:
        now, _, pod, finished = heapq.heappop(events)
        if now >= pod.dies:
            continue
        if finished is not None:
            published = pod.began + PUBLISH_SECONDS * (1 + (now - pod.began) // PUBLISH_SECONDS)
            if published < pod.dies:
                visible[finished] = min(visible.get(finished, float("inf")), published + lag)
        names = [each.name for each in made if each.began <= now]
        if now - pod.looked >= REFRESH_SECONDS:
            pod.look(now, visible, names)
        left = [problem for problem in problems if problem not in pod.known | pod.begun]
        pod.done = now
        problem = cooperation.pick(left, pod.name, names, pod.stalled(now), gpus) if left else None
        number += 1
        if problem is not None:
            tuned += 1
            pod.begun.add(problem)
            seconds = cost.tuning_seconds(problem) * chance.uniform(0.85, 1.15)
            heapq.heappush(events, (now + seconds, number, pod, problem))
        elif left:
            heapq.heappush(events, (now + REFRESH_SECONDS, number, pod, None))
    ends = [pod.done for pod in made if pod.dies == float("inf")]
    return Result(tuned / len(problems), max(ends), max(ends) - min(ends))


def measure() -> dict[str, float]:
    problems = build(None, Options(linears=tuple(Linear(n, k) for n, k in QWEN3_32B_TP1))).problems
    found: dict[str, float] = {}
    for gpus in (1, 8):
        for pods in PODS:
            results = [simulate(problems, pods, gpus, seed) for seed in range(SEEDS)]
            name = f"cooperation_{pods}_pods_{gpus}_gpus"
            found[f"{name}_tuned_of_plan"] = sum(result.tuned for result in results) / SEEDS
            found[f"{name}_seconds"] = sum(result.seconds for result in results) / SEEDS
    return found
