"""StorageReady, and the rollouts that wait for it."""

import pytest
from tests.unit.operator.make import (
    deployment,
    planned,
    pod,
    report,
    resource,
    time,
)
from tests.unit.operator.plan.test_revision import stored
from tests.unit.operator.status.situations import bound, condition, message, status

from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.observe.observed import Note

UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def test_storage() -> None:
    assert condition(status(claim=bound()), "StorageReady") == ("True", "Bound")
    assert condition(status(claim=bound("Pending", ago=44)), "StorageReady") == ("Unknown", "ClaimPending")
    assert condition(status(claim=bound("Pending", ago=46)), "StorageReady") == ("False", "ClaimPending")
    assert condition(status(claim=bound("Lost")), "StorageReady") == ("False", "ClaimLost")
    missing = status(claim=bound("Pending", storageClassName="x"), storage_class=False)
    assert condition(missing, "StorageReady") == ("False", "StorageClassNotFound")
    none = status(claim=bound("Pending"), storage_class=False)
    assert condition(none, "StorageReady") == ("False", "NoDefaultStorageClass")
    for word in ("WaitForFirstConsumer", "WaitForPodScheduled"):
        waits = status(claim=bound("Pending"), notes={"uid-c": Note(word, "")})
        assert condition(waits, "StorageReady") == ("Unknown", "WaitForFirstConsumer")
    failed = status(claim=bound("Pending"), notes={"uid-c": Note("ProvisioningFailed", "no server")})
    assert condition(failed, "StorageReady") == ("False", "ProvisioningFailed")
    external = status(claim=bound("Pending"), notes={"uid-c": Note("ExternalProvisioning", "Waiting for x")})
    assert condition(external, "StorageReady") == ("False", "ClaimPending")
    unused = status({"cache": {"pvc": {"create": False}, "mirror": "Never"}})
    assert condition(unused, "StorageReady") == ("True", "NotConfigured")


def test_storage_of_a_mirror() -> None:
    mirrored = status({"cache": {"pvc": {"create": False}}})
    assert condition(mirrored, "StorageReady") == ("True", "Mirrored")
    aside = status({"cache": {"pvc": {"accessModes": ["ReadWriteOnce"]}}, "replicas": 4})
    assert condition(aside, "StorageReady") == ("True", "Mirrored")
    assert "claim qwen-store is ReadWriteOnce" in str(aside["conditions"])
    full = status(
        {"cache": {"pvc": {"create": False}}}, mirror=MirrorState(reason="MirrorTooLarge", message="so large")
    )
    assert condition(full, "StorageReady") == ("False", "MirrorTooLarge")
    both = status({"cache": {"mirror": "Always"}}, claim=bound("Lost"), mirror=MirrorState(reason="MirrorRejected"))
    assert condition(both, "StorageReady") == ("False", "ClaimLost")
    lone = status({"cache": {"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}}}, claim=bound())
    assert condition(lone, "StorageReady") == ("True", "Bound")


@pytest.mark.parametrize("phase", [None, "Pending", "Bound"])
def test_a_volume_of_one_node_is_reported_before_anything_waits_for_it(phase: str | None) -> None:
    spec = {"replicas": 4, "cache": {"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}}}
    claim = bound(phase, ago=5, accessModes=["ReadWriteOnce"]) if phase else None
    assert condition(status(spec, claim=claim), "StorageReady") == ("False", "AccessModeUnsupported")
    assert condition(status({**spec, "replicas": 1}, claim=claim), "StorageReady")[0] != "False"


def test_what_keeps_a_claim_from_being_bound_comes_first() -> None:
    spec = {"replicas": 4, "cache": {"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}}}
    claim = bound("Pending", storageClassName="x", accessModes=["ReadWriteOnce"])
    found = status(spec, claim=claim, storage_class=False)
    assert condition(found, "StorageReady") == ("False", "StorageClassNotFound")


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_claim_for_one_node_that_came_after_the_pods_template(replicas: int) -> None:
    """Its pods mount it: the mirror, which a template of now would have, is not there."""
    spec = {"replicas": replicas, "cache": {"pvc": {"create": False, "claimName": "theirs"}}}
    first = planned(resource(spec))
    seen = {"claim": bound(accessModes=["ReadWriteOnce"]), "revisions": (stored(first),)}
    found = status(spec, **seen)  # type: ignore[arg-type]
    assert found["cache"]["claimName"] == "theirs"
    assert found["revision"]["outdated"]
    if replicas > 1:
        assert condition(found, "StorageReady") == ("False", "AccessModeUnsupported")
        assert "hipbmm.io/roll-forward" in message(found, "StorageReady")
    else:
        assert condition(found, "StorageReady") == ("True", "Bound")


def test_a_claim_that_is_being_deleted() -> None:
    claim = bound()
    claim["metadata"]["deletionTimestamp"] = time()
    assert condition(status(claim=claim), "StorageReady") == ("False", "ClaimTerminating")


def test_pods_that_wait_for_the_claim_are_not_reported_again() -> None:
    plan = planned(resource())
    live = deployment(plan)
    waits = pod(revision=plan.revision.name, unschedulable=UNBOUND, since=300)
    for bodies in ((), (waits,)):
        found = status(None, *bodies, live=live, claim=bound("Pending", ago=46))
        assert condition(found, "StorageReady") == condition(found, "Ready") == ("False", "ClaimPending")
        assert condition(found, "Progressing") == ("False", "StorageNotReady")
        assert (found["phase"], found["failures"]) == ("Pending", [])
    early = status(None, waits, live=live, claim=bound("Pending", ago=44))
    assert condition(early, "Progressing") == ("True", "RollingOut")
    other = status(None, waits, live=live, claim=bound())
    assert condition(other, "Progressing") == ("False", "StorageNotReady")
    assert [failure["reason"] for failure in other["failures"]] == ["StorageNotReady"]


def test_a_revision_that_waits_for_its_claim_leaves_the_old_one_serving_and_says_so() -> None:
    was = planned(resource())
    of = resource({"image": "vllm:2"})
    live = deployment(planned(of))
    old = pod("old", revision=was.revision.name, ready=True, answer=report())
    found = status({"image": "vllm:2"}, old, live=live, claim=bound("Pending", ago=46))
    assert condition(found, "Progressing") == ("False", "StorageNotReady")
    assert "still serves" in next(c["message"] for c in found["conditions"] if c["type"] == "Progressing")


@pytest.mark.parametrize(
    ("wanted", "stays"),
    [(None, False), (["ReadWriteMany"], False), (["ReadWriteOnce"], True), (["ReadWriteOnce", "ReadWriteMany"], True)],
)
def test_access_modes_that_a_claim_can_no_longer_get_are_said(wanted: list[str] | None, *, stays: bool) -> None:
    spec = {"cache": {"pvc": {"accessModes": wanted}}} if wanted else {}
    found = status(spec, claim=bound())
    assert condition(found, "StorageReady") == ("True", "Bound")
    assert ("it stays ReadWriteMany: name a new claim" in message(found, "StorageReady")) is stays
