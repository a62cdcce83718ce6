"""The status: what is true, in which words, and that it stays still when nothing changes."""

import copy
from datetime import timedelta

import pytest
from tests.unit.operator.make import (
    NOW,
    Json,
    deployment,
    hardware,
    observed,
    planned,
    pod,
    report,
    resource,
    time,
    typed,
)

from hipbmm_operator.api import reasons
from hipbmm_operator.api.status import Status
from hipbmm_operator.kube import kinds
from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.observe.observed import Note
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.validation import Problem
from hipbmm_operator.plan.write_failure import WriteFailure
from hipbmm_operator.pods.report import Progress
from hipbmm_operator.status.builder import Situation, build
from hipbmm_operator.status.conditions import TYPES


def status(
    spec: Json | None = None,
    *bodies: Json,
    before: Json | None = None,
    live: Json | None = None,
    problems: tuple[Problem, ...] = (),
    refused: tuple[WriteFailure, ...] = (),
    plan: Plan | None = None,
    claim: Json | None = None,
    dropped: str = "",
    **seen: object,
) -> Json:
    of = resource(spec, status=before)
    now = observed(*bodies, live=live, claim=claim, **({"hardware": hardware()} | seen))  # type: ignore[arg-type]
    found = build(Situation(of, typed(of), problems, now, plan or planned(of, now), refused, dropped), NOW)
    Status.model_validate(found)
    return found


def condition(of: Json, kind: str) -> tuple[str, str]:
    entry = next(entry for entry in of["conditions"] if entry["type"] == kind)
    return entry["status"], entry["reason"]


def serving(spec: Json | None = None, *, answer: Json | None = None, count: int = 1, **more: object) -> Json:
    """All replicas of the current revision serve."""
    of = resource(spec)
    plan = planned(of, observed(pod(answer=report())))
    bodies = [
        pod(f"qwen-{n}", revision=plan.revision.name, ready=True, answer=answer or report()) for n in range(count)
    ]
    return status(spec, *bodies, live=deployment(plan), **more)  # type: ignore[arg-type]  # passed on


def test_all_conditions_are_always_there_in_the_same_order() -> None:
    for found in (status(), serving()):
        assert tuple(entry["type"] for entry in found["conditions"]) == TYPES


def test_a_new_resource_knows_nothing_yet() -> None:
    found = status()
    assert condition(found, "Ready") == ("Unknown", "Pending")
    assert condition(found, "Progressing") == ("Unknown", "Pending")
    assert condition(found, "Tuned") == ("Unknown", "Pending")
    assert condition(found, "Available") == ("Unknown", "Pending")
    assert condition(found, "StorageReady") == ("Unknown", "Creating")
    assert found["phase"] == "Pending"


def test_serving_warm() -> None:
    found = serving({"replicas": 2}, count=2)
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")
    assert condition(found, "Progressing") == ("True", "RolloutComplete")
    assert (found["phase"], found["warm"], found["warmReplicas"]) == ("Running", "2/2", 2)
    assert found["tuning"]["progress"] == "204/204"
    assert found["cache"]["rows"] == 204


def test_serving_untuned_is_ready_and_says_so() -> None:
    found = serving(answer=report(state="Unsupported", reason="NoSolution", message="no solution", tuned=0))
    assert condition(found, "Ready") == ("True", "ServingUntuned")
    assert condition(found, "Tuned") == ("False", "NoSolution")
    assert condition(found, "Warm") == ("False", "ServingUntuned")
    assert found["warmReplicas"] == 0


def test_pods_of_different_stacks_are_not_tuned_as_one() -> None:
    of = resource({"replicas": 2})
    plan = planned(of, observed(pod(answer=report())))
    one = pod("a", revision=plan.revision.name, ready=True, answer=report())
    other = pod("b", revision=plan.revision.name, ready=True, answer=report(key="aaaaaaaaaaaaaaaa"))
    found = status({"replicas": 2}, one, other, live=deployment(plan))
    assert condition(found, "Tuned") == ("False", "MixedStacks")


def test_tuning_shows_progress() -> None:
    of = resource()
    name = planned(of).revision.name
    live = deployment(planned(of))
    found = status(None, pod(revision=name, warming=True), live=live, progress=Progress("Tuning", 38, 204))
    assert condition(found, "Tuned") == ("False", "Tuning")
    assert (found["tuning"]["state"], found["tuning"]["progress"]) == ("Running", "38/204")
    assert (found["phase"], condition(found, "Ready")) == ("Tuning", ("False", "Tuning"))
    found = status(
        None, pod(revision=name, warming=True), live=live, progress=Progress("Verifying", 204, 204, verified=38)
    )
    assert found["tuning"]["progress"] == "verified 38/204"
    assert (found["tuning"]["tuned"], condition(found, "Tuned")) == (204, ("False", "Tuning"))


@pytest.mark.parametrize(
    ("progress", "tuned", "phase"),
    [
        (None, ("True", "Tuned"), "Starting"),
        (Progress("Loading", 0, 0), ("True", "Tuned"), "Starting"),
        (Progress("Tuning", 38, 204), ("False", "Tuning"), "Tuning"),
    ],
)
def test_a_pod_that_restores_what_another_tuned_is_not_tuning(
    progress: Progress | None, tuned: tuple[str, str], phase: str
) -> None:
    of = resource({"replicas": 2})
    name = planned(of).revision.name
    done, starting = pod("a", revision=name, answer=report()), pod("b", revision=name, warming=True)
    found = status({"replicas": 2}, done, starting, live=deployment(planned(of)), progress=progress)
    assert (condition(found, "Tuned"), found["phase"]) == (tuned, phase)


def test_who_tuned_is_not_forgotten_when_the_tuner_is_gone() -> None:
    before = serving()
    restored = report(source="Restored", reason="Restored", seconds=0.4, geomean=None)
    after = serving(answer=restored, before=before)
    assert (after["tuning"]["source"], after["tuning"]["seconds"]) == ("Tuned", 48)
    assert after["tuning"]["geomeanSpeedup"] == "1.11"
    other = serving(answer=restored | {"key": "aaaaaaaaaaaaaaaa"}, before=before)
    assert other["tuning"]["source"] == "Restored"


def test_an_update_that_fails_leaves_the_old_revision_serving_and_says_which_pod() -> None:
    was = planned(resource(), observed(pod(answer=report())))
    new = {"image": "vllm:2"}
    plan = planned(resource(new), observed(live=deployment(was)))
    live = deployment(plan)
    live["status"]["replicas"] = 2
    live["status"]["conditions"] = [{"type": "Available", "status": "True"}]
    old = pod("old", revision=was.revision.name, ready=True, answer=report())
    bad = {"state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}
    broken = pod("new", revision=plan.revision.name, warm=bad)
    found = status(new, old, broken, live=live, plan=plan)
    assert condition(found, "Ready") == ("True", "ServingPreviousRevision")
    assert condition(found, "Progressing") == ("False", "ImageNotFound")
    assert [(f["pod"], f["container"]) for f in found["failures"]] == [("new", "warm")]
    assert found["phase"] == "Running"


def test_image_back_off_keeps_the_cause_that_was_told_before() -> None:
    def found(reason: str, message: str, before: Json | None = None) -> Json:
        state = {"state": {"waiting": {"reason": reason, "message": message}}}
        return status(None, pod(warm=state), live=deployment(planned(resource())), before=before)

    first = found("ErrImagePull", "manifest unknown")
    second = found("ImagePullBackOff", 'Back-off pulling image "vllm:1"', first)
    assert second == first


def test_times_move_only_with_the_status_of_a_condition() -> None:
    before = serving()
    for entry in before["conditions"]:
        entry["lastTransitionTime"] = time(3600)
    assert serving(before=before) == before
    worse = serving(answer=report(state="Partial", reason="BudgetExhausted"), before=before)
    moved = {e["type"] for e in worse["conditions"] if e["lastTransitionTime"] == time()}
    assert moved == {"Tuned", "Warm"}


def test_the_status_does_not_depend_on_the_time_at_rest() -> None:
    of = resource()
    now = observed(hardware=hardware())
    plan = planned(of, now)
    first = build(Situation(of, typed(of), (), now, plan), NOW)
    later = resource(status=copy.deepcopy(first))
    assert build(Situation(later, typed(later), (), now, plan), NOW + timedelta(days=1)) == first


def test_a_change_is_not_rolled_out_when_it_was_only_just_written() -> None:
    """The Deployment that was seen is complete, with the template and the replicas of before."""
    was = planned(resource(), observed(pod(answer=report())))
    live = deployment(was)
    old = pod("old", revision=was.revision.name, ready=True, answer=report())
    for change in ({"image": "vllm:2"}, {"replicas": 2}):
        found = status(change, old, live=live)
        assert condition(found, "Progressing") == ("True", "RollingOut")
        assert found["phase"] in ("Updating", "Running")


def test_a_problem_of_the_spec_is_fatal_or_only_told() -> None:
    told = serving(problems=(Problem("ConflictingEnv", "HIP_ONLINE_TUNING=0"),))
    assert condition(told, "ConfigValid") == ("False", "ConflictingEnv")
    assert condition(told, "Ready")[0] == "True"
    fatal = serving(problems=(Problem("ConflictingArgs", "x", fatal=True),))
    assert condition(fatal, "Ready") == ("False", "ConflictingArgs")
    assert fatal["phase"] == "Failed"


@pytest.mark.parametrize("reason", ["Forbidden", "QuotaExceeded", "NameConflict", "NamespaceTerminating", "Rejected"])
def test_a_write_that_was_refused(reason: reasons.Reason) -> None:
    found = status(refused=(WriteFailure(kinds.SERVICE, "qwen", reason, "Service qwen: no", retry=True),))
    assert condition(found, "Progressing") == ("False", reason)
    assert condition(found, "Ready") == ("False", reason)


def test_pods_that_kubernetes_refuses_to_create() -> None:
    live = deployment(planned(resource()))
    message = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'
    live["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": message})
    assert condition(status(live=live), "Progressing") == ("False", "PodSecurityRejected")


def test_the_progress_deadline() -> None:
    live = deployment(planned(resource()))
    live["status"]["conditions"].append(
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    )
    assert condition(status(live=live), "Progressing") == ("False", "ProgressDeadlineExceeded")


def bound(phase: str = "Bound", ago: float = 60, **more: object) -> Json:
    metadata = {"name": "qwen-store", "uid": "uid-c", "creationTimestamp": time(ago)}
    return {"metadata": metadata, "spec": {"accessModes": ["ReadWriteMany"], **more}, "status": {"phase": phase}}


def test_storage() -> None:
    assert condition(status(claim=bound()), "StorageReady") == ("True", "Bound")
    assert condition(status(claim=bound("Pending", ago=44)), "StorageReady") == ("Unknown", "ClaimPending")
    assert condition(status(claim=bound("Pending", ago=46)), "StorageReady") == ("False", "ClaimPending")
    assert condition(status(claim=bound("Lost")), "StorageReady") == ("False", "ClaimLost")
    missing = status(claim=bound("Pending", storageClassName="x"), storage_class=False)
    assert condition(missing, "StorageReady") == ("False", "StorageClassNotFound")
    none = status(claim=bound("Pending"), storage_class=False)
    assert condition(none, "StorageReady") == ("False", "NoDefaultStorageClass")
    waits = status(claim=bound("Pending"), notes={"uid-c": Note("WaitForFirstConsumer", "")})
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


def test_a_pod_whose_volume_cannot_be_mounted() -> None:
    live = deployment(planned(resource()))
    note = Note("FailedMount", 'configmap "qwen-config" not found')
    found = status(
        None, pod(payload={"state": {"waiting": {"reason": "PodInitializing"}}}), live=live, notes={"uid-qwen-1": note}
    )
    assert condition(found, "Progressing") == ("False", "FailedMount")
    assert found["failures"][0]["message"] == 'configmap "qwen-config" not found'


def test_at_most_five_failures_are_told() -> None:
    bad = {"state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}
    found = status(None, *(pod(f"qwen-{n}", warm=bad) for n in range(9)), live=deployment(planned(resource())))
    assert len(found["failures"]) == 5


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def test_pods_that_wait_for_the_claim_are_not_told_again() -> None:
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
