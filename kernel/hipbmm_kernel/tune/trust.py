"""Whether a GPU may be believed, as a pure state machine: only one that computes can speak against a problem.

A GPU that sickens kills children, hangs, or computes wrong numbers, and would veto whatever it is given. So evidence is
held back until the GPU that it comes from has computed a right result *after* it: a row that it found right before is
run again at once, or, when it has found none, the first one that another GPU has. When that fails, the GPU is sick: it
is retired, and what it had found since is forgotten.
"""

from typing import NamedTuple

from hipbmm_kernel.rows.gemm import Veto
from hipbmm_kernel.tune.visit import Job, Visit


class Evidence(NamedTuple):
    """That an index (0: the problem itself) must not be served, and whose visit found it; None for a mere suspicion."""

    visit: Visit
    veto: Veto | None


class Control(NamedTuple):
    """An index that was found right: it is run again on a GPU that found something wrong."""

    job: Job
    key: str
    solution: int


class Trust:
    """What is known of each GPU, by its value of HIP_VISIBLE_DEVICES."""

    def __init__(self) -> None:
        self._good: dict[str, Control] = {}
        self._held: dict[str, list[Evidence]] = {}
        self._asked: set[str] = set()

    def accuse(self, gpu: str, evidence: Evidence) -> None:
        """This GPU found something wrong, or a child ended on it."""
        self._held.setdefault(gpu, []).append(evidence)

    def control(self, gpu: str) -> Control | None:
        """What was found right, by this GPU if there is any, to be run on it now; None: there is nothing to do."""
        if gpu in self._asked or not self._held.get(gpu) or not self._good:
            return None
        self._asked.add(gpu)
        return self._good.get(gpu) or next(iter(self._good.values()))

    def suspects(self) -> list[str]:
        """GPUs from which there is evidence, and which have not been given a row that was found right."""
        return [gpu for gpu, held in self._held.items() if held and gpu not in self._asked]

    def right(self, gpu: str, good: Control) -> list[Veto]:
        """This GPU computed a right result: the evidence from it that now counts."""
        self._good[gpu] = good
        self._asked.discard(gpu)
        return [each.veto for each in self._held.pop(gpu, []) if each.veto is not None]

    def sick(self, gpu: str) -> list[Visit]:
        """This GPU failed at a row that it had found right: whose visits must begin again."""
        self._good.pop(gpu, None)
        self._asked.discard(gpu)
        return list(dict.fromkeys(each.visit for each in self._held.pop(gpu, [])))
