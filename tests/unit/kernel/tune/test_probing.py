"""Who says that hipBLASLt's own choice has no right solution: two GPUs where there are two, one alone may be sick."""

from types import SimpleNamespace

import pytest

from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.tune import crew
from hipbmm_kernel.tune.crew import Abort, Outcome, Task
from hipbmm_kernel.tune.probing import ROWS, Probe, Probing
from hipbmm_kernel.tune.visit import Job

JOB = Job(Problem(16, 256, 512), bias=False, seconds=1.0)
WAYS = {"hangs": crew.HUNG, "ends": crew.KILLED, "is wrong": crew.DONE}


class Harness:
    """Probes of `gpus`, and which of them were called sick."""

    def __init__(self, *gpus: str) -> None:
        self.sick: list[str] = []
        self.logged: list[str] = []
        self.probing = Probing(gpus, 1.0, lambda kind, *_: {"do": kind}, self._sick, self.logged.append)

    def _sick(self, gpu: str, _why: str) -> list[Task]:
        self.sick.append(gpu)
        return []

    def answer(self, task: Task, gpu: str, way: str = "") -> list[Task]:
        """What follows when this GPU does the task, right or in a wrong `way`."""
        message = {"reason": "all elements are wrong"} if way == "is wrong" else {}
        worker = SimpleNamespace(gpu=gpu)
        assert isinstance(task.subject, Probe)
        outcome = Outcome(task, WAYS.get(way, crew.DONE), way, message, worker)  # type: ignore[arg-type] # its GPU alone
        return self.probing.outcome(outcome, task.subject)

    def above(self) -> Task:
        """The probe above the limit."""
        return next(task for task in self.probing.tasks([JOB]) if task.subject.job.problem.m == ROWS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", WAYS)
def test_a_gpu_that_fails_where_another_one_does_not_is_sick(way: str) -> None:
    harness = Harness("0", "1")
    (again,) = harness.answer(harness.above(), "1", way)
    assert again.gpu == "0"
    assert harness.answer(again, "0") == []
    assert (harness.sick, harness.probing.unanswered()) == (["1"], [])


@pytest.mark.parametrize("way", WAYS)
def test_where_two_gpus_fail_there_is_no_solution(way: str) -> None:
    harness = Harness("0", "1")
    (again,) = harness.answer(harness.above(), "0", way)
    with pytest.raises(Abort, match="M=1024"):
        harness.answer(again, "1", way)
    assert harness.sick == []


def test_one_gpu_alone_is_asked_again_only_when_its_child_ended() -> None:
    harness = Harness("0")
    (again,) = harness.answer(harness.above(), "0", "hangs")
    assert (harness.answer(again, "0"), harness.sick) == ([], [])
    with pytest.raises(Abort):
        harness.answer(harness.above(), "0", "is wrong")


def test_what_a_gpu_that_retired_was_to_answer_goes_to_any_other() -> None:
    harness = Harness("0", "1")
    harness.answer(harness.above(), "0", "is wrong")
    (left,) = harness.probing.unanswered()
    assert left.gpu == ""


def test_below_the_limit_a_wrong_choice_is_only_logged() -> None:
    harness = Harness("0", "1")
    below = harness.probing.tasks([JOB])[-1]
    assert harness.answer(below, "0", "is wrong") == []
    assert (harness.sick, len(harness.logged)) == ([], 1)


def test_a_linear_with_and_without_bias_is_probed_both_ways() -> None:
    probes = [task.subject for task in Harness("0").probing.tasks([JOB._replace(mixed=True)])]
    assert {(probe.job.problem.m, probe.job.bias) for probe in probes if isinstance(probe, Probe)} == {
        (m, bias) for m in (16, 512, ROWS) for bias in (False, True)
    }
