"""Who says that hipBLASLt's own choice has no right solution: two GPUs where there are two, one alone may be sick."""

from types import SimpleNamespace

import pytest

from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.crew import Abort, Outcome, Task
from hipbmm_kernel.tune.probing import Probe, Probing
from hipbmm_kernel.tune.visit import ROWS, Job

JOB = Job(Problem(16, 256, 512), bias=False, seconds=1.0)
WAYS = {"hangs": crew.HUNG, "ends": crew.KILLED, "is wrong": protocol.DONE}


class Harness:
    """Probes of `gpus`, and which of them were called sick."""

    def __init__(self, *gpus: str) -> None:
        self.sick: list[str] = []
        self.logged: list[str] = []
        self.probing = Probing(gpus, 1.0, self._sick, self.logged.append)

    def _sick(self, gpu: str, _why: str) -> list[Task]:
        self.sick.append(gpu)
        return []

    def answer(self, task: Task, gpu: str, way: str = "") -> list[Task]:
        """What follows when this GPU does the task, right or in a wrong `way`."""
        message = {"reason": "all elements are wrong"} if way == "is wrong" else {}
        worker = SimpleNamespace(gpu=gpu)
        assert isinstance(task.subject, Probe)
        outcome = Outcome(task, WAYS.get(way, protocol.DONE), way, message, worker)  # type: ignore[arg-type] # its GPU alone
        return self.probing.outcome(outcome, task.subject)

    def above(self) -> Task:
        """The probe above the limit."""
        return next(task for task in self.probing.tasks([JOB]) if task.subject.job.problem.m == ROWS)


@pytest.mark.parametrize("way", WAYS)
def test_a_gpu_that_fails_where_another_one_does_not_is_sick(way: str) -> None:
    harness = Harness("0", "1")
    (again,) = harness.answer(harness.above(), "1", way)
    assert again.gpu == "0"
    assert not any(task.gpu for task in harness.answer(again, "0"))
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
    assert (len(harness.answer(again, "0")), harness.sick) == (1, [])
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


def all_asked(harness: Harness, job: Job, turned_way: str = "") -> set[tuple[int, bool]]:
    """M, and whether turned, of all probes of one job, in order, when those that are turned are answered in a way."""
    waiting, asked = harness.probing.tasks([job]), set[tuple[int, bool]]()
    while waiting:
        task = waiting.pop(0)
        assert isinstance(task.subject, Probe)
        assert task.command["turned"] is task.subject.turned
        asked.add((task.subject.job.problem.m, task.subject.turned))
        waiting += harness.answer(task, "0", turned_way if task.subject.turned else "")
    return asked


def test_a_linear_with_and_without_bias_is_probed_both_ways() -> None:
    both = {(m, turned) for m in (16, 512, ROWS) for turned in (False, True)}
    assert all_asked(Harness("0"), JOB._replace(mixed=True)) == both


def test_others_may_rely_on_a_linear_that_is_right_above_the_limit_with_a_bias_and_without() -> None:
    harness = Harness("0")
    assert all_asked(harness, JOB) == {(16, False), (512, False), (ROWS, False), (ROWS, True)}
    assert harness.probing.proven == {JOB.problem[1:]}


@pytest.mark.parametrize("way", WAYS)
def test_what_this_server_does_not_call_is_only_logged_and_not_proven(way: str) -> None:
    harness = Harness("0", "1")
    all_asked(harness, JOB, way)
    assert (harness.probing.proven, harness.sick, len(harness.logged)) == (set(), [], 1)


def test_a_probe_for_which_the_memory_does_not_suffice_proves_nothing() -> None:
    harness = Harness("0")
    probe = harness.above()
    assert isinstance(probe.subject, Probe)
    outcome = Outcome(probe, protocol.SKIPPED, "needs memory", {}, SimpleNamespace(gpu="0"))  # type: ignore[arg-type] # its GPU
    assert (harness.probing.outcome(outcome, probe.subject), harness.probing.proven) == ([], set())
