"""How often pods that start at once tune one problem twice: `tune.cooperation`, with a clock that is a number.

Each pod sees the others' names at its start, publishes once a second and reads once a second; children are ready after
some seconds. Figures: problems tuned in all / in the plan, and seconds until the last pod has every row.
"""

import heapq
import random
from collections import Counter
from typing import NamedTuple

from bench.kernel_tuning import QWEN3_32B_TP1
from hipbmm_kernel.planner import cost
from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.tune import cooperation
from hipbmm_kernel.tune.cooperation import Silence
from hipbmm_kernel.tune.peers import PUBLISH_SECONDS, REFRESH_SECONDS

READY_SECONDS = 5.0
DIES_SECONDS = 2.0
SEEDS = 3
PODS = (1, 2, 4, 8, 16, 32)
PAUSE_SECONDS = 15.0
NEVER = float("inf")


class Start(NamedTuple):
    """What so many pods meet that start within `spread` seconds.

    Of them `late` have their name `name_late` seconds later than the others, and children `ready_late` seconds later
    than that; `dead` die two seconds after their children are ready; `gone` more have left a name and nothing else. A
    problem takes `slow` times as long as on a real machine. Each pod reads the store every `refresh` seconds, and a row
    is seen `lag` seconds after it is published. From second `paused` on the whole machine stands still for 15 s.
    """

    pods: int
    gpus: int = 1
    spread: float = 5.0
    late: int = 0
    name_late: float = 0.0
    ready_late: float = 0.0
    dead: int = 0
    gone: int = 0
    slow: float = 1.0
    refresh: float = REFRESH_SECONDS
    lag: float = 0.2
    paused: float = NEVER


class Result(NamedTuple):
    """`tuned` is by those that live / in the plan, `most` how many of them tuned one problem; times in seconds."""

    tuned: float
    most: int
    seconds: float
    skew: float


class Pod:
    """What one pod knows and does."""

    def __init__(self, name: str, began: float, ready: float, dies: float) -> None:
        self.name = name
        self.began = began
        self.ready = ready
        self.dies = dies
        self.names: list[str] = []
        self.known: set[Problem] = set()
        self.begun: set[Problem] = set()
        self.silence = Silence()
        self.due = float("-inf")
        self.done = began

    def read(self, now: float, store: "Store", names: list[str], refresh: float) -> None:
        """Read the store."""
        self.names = names
        self.known = {problem for problem, at in store.visible.items() if at <= now}
        published = Counter(pod for pod, at in store.shards if at <= now)
        self.silence.note(names, published, refresh, now - self.due)
        self.due = now + refresh


class Store:
    """When each problem's first row is visible, and who has published when."""

    def __init__(self) -> None:
        self.visible: dict[Problem, float] = {}
        self.shards: list[tuple[str, float]] = []

    def add(self, pod: Pod, problem: Problem, now: float, lag: float) -> None:
        """What the pod has finished is published at its next full second, if it lives that long."""
        published = pod.began + PUBLISH_SECONDS * (1 + (now - pod.began) // PUBLISH_SECONDS)
        if published < pod.dies:
            self.visible[problem] = min(self.visible.get(problem, NEVER), published + lag)
            self.shards.append((pod.name, published + lag))


def simulate(problems: tuple[Problem, ...], start: Start, seed: int = 0) -> Result:
    """One start of pods."""
    chance = random.Random(seed)
    made = _pods(start, seed, chance)
    gone = [f"{seed}-gone-{at}" for at in range(start.gone)]
    store = Store()
    tuned = Counter[Problem]()
    events: list[tuple[float, int, Pod, Problem | None]] = []
    for pod in made:
        for _ in range(start.gpus):
            heapq.heappush(events, (pod.ready + chance.random(), len(events), pod, None))
    number = len(events)
    while events:
        now, _, pod, finished = heapq.heappop(events)
        if now >= pod.dies:
            continue
        if finished is not None:
            store.add(pod, finished, now, start.lag)
        if now >= pod.due:
            pod.read(now, store, [each.name for each in made if each.began <= now] + gone, start.refresh)
        left = [problem for problem in problems if problem not in pod.known | pod.begun]
        pod.done = now
        ahead = cooperation.ahead(start.gpus, pod.begun, pod.known)
        problem = cooperation.pick(left, pod.name, pod.names, pod.silence.seconds, ahead) if left else None
        number += 1
        if problem is not None:
            tuned[problem] += pod.dies == NEVER
            pod.begun.add(problem)
            ends = now + start.slow * cost.tuning_seconds(problem) * chance.uniform(0.85, 1.15)
            heapq.heappush(events, (_resumed(start, now, ends), number, pod, problem))
        elif left:
            heapq.heappush(events, (_resumed(start, now, now + REFRESH_SECONDS), number, pod, None))
    done = [pod.done for pod in made if pod.dies == NEVER]
    return Result(tuned.total() / len(problems), max(tuned.values()), max(done), max(done) - min(done))


def _pods(start: Start, seed: int, chance: random.Random) -> list[Pod]:
    """The first ones are late, those after them die."""
    found = []
    for at, begin in enumerate(sorted(chance.uniform(0, start.spread) for _ in range(start.pods))):
        late = at < start.late
        began = begin + late * start.name_late
        ready = began + READY_SECONDS + late * start.ready_late
        dies = ready + DIES_SECONDS if start.late <= at < start.late + start.dead else NEVER
        found.append(Pod(f"{seed}-{at}", began, ready, dies))
    return found


def _resumed(start: Start, begins: float, ends: float) -> float:
    """When something ends that would end then if the machine did not stand still."""
    return ends + PAUSE_SECONDS * (begins < start.paused <= ends)


def measure() -> dict[str, float]:
    problems = build(None, Options(linears=tuple(Linear(n, k) for n, k in QWEN3_32B_TP1))).problems
    found: dict[str, float] = {}
    for gpus in (1, 8):
        for pods in PODS:
            results = [simulate(problems, Start(pods, gpus), seed) for seed in range(SEEDS)]
            name = f"cooperation_{pods}_pods_{gpus}_gpus"
            found[f"{name}_tuned_of_plan"] = sum(result.tuned for result in results) / SEEDS
            found[f"{name}_seconds"] = sum(result.seconds for result in results) / SEEDS
    return found
