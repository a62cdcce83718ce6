"""Which problem a pod tunes next when others tune the same plan, without lease or leader: a pure function.

Each pod has left its name beside the shards. A hash of a pod and a problem ranks the pods for that problem; the first
one owns it. So all that know the same names share the plan alike, and a pod more or less moves only its own share. A
pod takes what it owns, hot first. Then it helps, from the cold end, where it is the next in the ranking: those before
it have published nothing for a while, or have so much left of their own that they do not come to the problem soon.

How long they must have been silent grows with the distance in the ranking: 10 s for the one just before, 15 s for the
next two, 20 s for the next four. So each problem that nobody tunes gets one helper, then two more, then four: a dead
pod holds nothing for long, and many that wait do not all tune the same. Two pods at one problem cost only time.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from hipbmm_kernel.rows.gemm import Problem

AHEAD = 6
"""Problems per GPU that an owner is probably at, or has finished and not published yet, on a volume that is fast."""
STALLED_SECONDS = 10.0
"""Silence after which the next pod in the ranking of a problem takes it."""
MORE_SECONDS = 5.0
"""More of it for each doubling of the distance."""
HELD_UP_SECONDS = 5.0
"""Of what a reading comes later than planned, so much counts as silence of the others at most."""


class Silence:
    """For how many seconds each pod has published nothing, as one sees it that reads the store now and then."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._published: dict[str, int] = {}

    def note(self, pods: Iterable[str], published: Mapping[str, int], pause: float, late: float) -> None:
        """Take in a reading: how many lines each of the pods has published.

        It comes `pause` seconds after the last one, as planned, and `late` more. When this pod was held up, the others
        may have been, too, and one reading does not make a pod silent for long: not all of it counts.
        """
        passed = min(pause + min(late, HELD_UP_SECONDS), STALLED_SECONDS)
        # A reading that shows less than the one before it has missed something: nobody has published then.
        counts = {pod: max(published.get(pod, 0), self._published.get(pod, 0)) for pod in pods}
        self.seconds = {
            pod: self.seconds[pod] + passed if count == self._published.get(pod) else 0.0
            for pod, count in counts.items()
        }
        self._published = counts


def owner(pods: Collection[str], problem: Problem) -> str:
    """The pod that a problem belongs to."""
    return max(pods, key=lambda pod: _rank(pod, problem))


def ahead(gpus: int, begun: AbstractSet[Problem], seen: AbstractSet[Problem]) -> int:
    """How many problems of its share an owner is probably at, or has finished and not shown yet.

    What this pod has `begun` and has not `seen` in the store, others have, too: a slow volume shows all of it late.
    """
    return AHEAD * gpus + len(begun - seen)


def pick(
    left: Sequence[Problem], own: str, pods: Collection[str], silence: Mapping[str, float], ahead: int
) -> Problem | None:
    """The problem of `left` (hot first, without rows, not begun here) for pod `own`; None when it had better wait.

    `pods` are all that were seen, `own` among them; `silence` is for how many seconds each has published nothing. An
    owner has begun, or soon will, the first `ahead` of what is left of its own.
    """
    shares: dict[str, list[Problem]] = {}
    for problem in left:
        shares.setdefault(owner(pods, problem), []).append(problem)
    if own in shares:
        return shares[own][0]
    near = {problem for share in shares.values() for problem in share[:ahead]}
    busy = {pod for pod, share in shares.items() if len(share) > ahead}
    return next((problem for problem in reversed(left) if _is_next(problem, own, pods, silence, near, busy)), None)


def _is_next(
    problem: Problem,
    own: str,
    pods: Collection[str],
    silence: Mapping[str, float],
    near: Collection[Problem],
    busy: Collection[str],
) -> bool:
    """Whether no pod that is ranked before `own` is expected to take the problem."""
    mine, ranks = _rank(own, problem), {pod: _rank(pod, problem) for pod in pods}
    before = sorted((pod for pod in pods if ranks[pod] > mine), key=lambda pod: ranks[pod])
    for distance, pod in enumerate(before, 1):
        comes = pod not in busy or (problem in near and pod == before[-1])
        if comes and silence.get(pod, 0.0) < STALLED_SECONDS + MORE_SECONDS * (distance.bit_length() - 1):
            return False
    return True


def _rank(pod: str, problem: Problem) -> int:
    # A second round spreads names that differ in one digit, which CRC maps to numbers that are near each other.
    return zlib.crc32(b"%d" % zlib.crc32(f"{pod} {problem.m} {problem.n} {problem.k}".encode()))
