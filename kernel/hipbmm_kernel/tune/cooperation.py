"""Which problem a pod tunes next when others tune the same plan, without lease or leader: a pure function.

Each pod has left its name beside the shards. Each problem belongs to the pod that a hash of both gives the highest
number, so all that know the same names share the plan alike, and a pod more or less moves only its own share. A pod
takes what belongs to it, hot first. Then it helps: it takes what belongs to others, each helper another problem, but
not what its owner is probably at, unless nothing of that owner has come for a while. So a dead pod holds nothing, and
two pods at one problem cost only its time: rows join.
"""

import zlib
from collections.abc import Collection, Sequence

from hipbmm_kernel.rows.gemm import Problem

AHEAD = 6
"""Problems per GPU that an owner is probably at, or has finished and not published yet."""


def owner(pods: Collection[str], problem: Problem) -> str:
    """The pod that a problem belongs to."""
    return max(pods, key=lambda pod: _rank(pod, problem))


def pick(
    left: Sequence[Problem], own: str, pods: Collection[str], stalled: Collection[str], gpus: int
) -> Problem | None:
    """The problem of `left` (hot first, without rows, not begun here) for pod `own`; None when it had better wait.

    `pods` are all that were seen, `own` among them; nothing has come from `stalled` for a while. `gpus` is how many
    problems a pod works at, as in this one.
    """
    shares: dict[str, list[Problem]] = {}
    for problem in left:
        shares.setdefault(owner(pods, problem), []).append(problem)
    if own in shares:
        return shares[own][0]
    free = [problem for pod, share in shares.items() for problem in share[0 if pod in stalled else AHEAD * gpus :]]
    return max(free, key=lambda problem: _rank(own, problem), default=None)


def _rank(pod: str, problem: Problem) -> int:
    # A second round spreads names that differ in one digit, which CRC maps to numbers that are near each other.
    return zlib.crc32(b"%d" % zlib.crc32(f"{pod} {problem.m} {problem.n} {problem.k}".encode()))
