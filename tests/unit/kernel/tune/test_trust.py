"""Only a GPU that computes can speak against a problem."""

from hipbmm_kernel.rows.gemm import Problem, Veto, key_of
from hipbmm_kernel.tune.trust import Control, Evidence, Trust
from hipbmm_kernel.tune.visit import Job, Visit

JOB = Job(Problem(1, 256, 512), bias=False, seconds=1.0)
KEY = key_of(JOB.problem)
GOOD = Control(JOB, KEY, 7)
VETO = Veto(KEY, 9, "wrong")


def test_evidence_is_held_until_its_gpu_has_computed_something_right() -> None:
    trust, visit = Trust(), Visit(JOB, KEY)
    trust.accuse("0", Evidence(visit, VETO))
    assert trust.control("0") is None  # nothing is known that it could run
    assert trust.right("1", GOOD) == []
    assert trust.right("0", GOOD) == [VETO]
    assert trust.right("0", GOOD) == []


def test_a_row_that_was_right_is_run_again_once_for_each_suspicion() -> None:
    trust, visit = Trust(), Visit(JOB, KEY)
    assert trust.right("0", GOOD) == []
    assert trust.control("0") is None
    trust.accuse("0", Evidence(visit, None))
    trust.accuse("0", Evidence(visit, VETO))
    assert trust.control("0") == GOOD
    assert trust.control("0") is None
    assert trust.right("0", GOOD) == [VETO]


def test_what_a_sick_gpu_found_is_dropped_and_its_visits_begin_again() -> None:
    trust, visit = Trust(), Visit(JOB, KEY)
    trust.right("0", GOOD)
    trust.accuse("0", Evidence(visit, VETO))
    assert trust.sick("0") == [visit]
    assert trust.sick("0") == []
    assert trust.right("0", GOOD) == []


def test_a_gpu_that_has_found_nothing_right_is_given_the_row_of_another_one() -> None:
    trust, visit = Trust(), Visit(JOB, KEY)
    trust.accuse("0", Evidence(visit, VETO))
    assert trust.control("0") is None
    assert trust.right("1", GOOD) == []
    assert trust.suspects() == ["0"]
    assert trust.control("0") == GOOD
    assert trust.suspects() == []
    assert trust.sick("0") == [visit]
    assert trust.suspects() == []
