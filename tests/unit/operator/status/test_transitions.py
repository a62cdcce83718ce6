"""Which changes of conditions are Events."""

from hipbmm_operator.api.status import Condition
from hipbmm_operator.status import transitions


def conditions(**states: tuple[str, str]) -> list[Condition]:
    more = {"message": "m", "lastTransitionTime": "2026-11-23T12:00:00Z", "observedGeneration": 1}
    return [
        Condition.model_validate({"type": kind, "status": status, "reason": reason, **more})
        for kind, (status, reason) in states.items()
    ]


def reported(before: list[Condition], after: list[Condition]) -> list[tuple[str, str]]:
    return [(found.type, found.reason) for found in transitions.transitions(before, after)]


def test_events_are_transitions_only() -> None:
    tuning = conditions(Tuned=("False", "Tuning"), Ready=("False", "Tuning"))
    done = conditions(Tuned=("True", "Tuned"), Ready=("True", "AllReplicasWarm"))
    assert reported([], tuning) == [("Normal", "Tuning")]
    assert reported(tuning, tuning) == []
    assert reported(tuning, done) == [("Normal", "Tuned")]
    assert reported(conditions(Tuned=("True", "Tuned"), Ready=("False", "NotEnoughReplicas")), done) == [
        ("Normal", "AllReplicasWarm")
    ]
    assert reported(done, done) == []


def test_one_cause_is_reported_once() -> None:
    same = ("False", "ImageNotFound")
    failing = conditions(Progressing=same, Available=same, Ready=same)
    assert reported([], failing) == [("Warning", "ImageNotFound")]


def test_pods_that_wait_for_storage_are_no_second_cause() -> None:
    failing = conditions(StorageReady=("False", "ProvisioningFailed"), Progressing=("False", "StorageNotReady"))
    assert reported([], failing) == [("Warning", "ProvisioningFailed")]


def test_a_claim_that_waits_for_its_volume_is_no_event_nor_is_that_it_got_it() -> None:
    serving = ("True", "ServingUntuned")
    waiting = conditions(
        StorageReady=("False", "ClaimPending"), Progressing=("False", "StorageNotReady"), Ready=serving
    )
    bound = conditions(StorageReady=("True", "Bound"), Progressing=("True", "RollingOut"), Ready=serving)
    assert reported(conditions(Ready=serving), waiting) == reported(waiting, bound) == []


def test_recovery_is_reported() -> None:
    """Where nothing else says so: a resource that becomes ready says that."""
    starting, serving = ("False", "NotEnoughReplicas"), ("True", "ServingUntuned")
    failed, well = ("False", "ProvisioningFailed"), ("True", "Bound")
    for ready, expected in ((starting, []), (serving, [("Normal", "Bound")])):
        before, after = (conditions(StorageReady=state, Ready=ready) for state in (failed, well))
        assert reported(before, after) == expected
