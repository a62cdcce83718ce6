"""What goes wrong, as the status tells it."""

import pytest
from tests.unit.operator.make import Json, deployment, ended, hardware, observed, planned, pod, report, resource, time
from tests.unit.operator.status.test_builder import bound, condition, serving, status

from hipbmm_operator.observe.observed import Note
from hipbmm_operator.pods.report import Progress, Start


def message(of: Json, kind: str) -> str:
    return str(next(entry["message"] for entry in of["conditions"] if entry["type"] == kind))


def test_a_tuner_that_hangs_is_told() -> None:
    name = planned(resource()).revision.name
    seen = Progress("Tuning", 38, 204)
    found = status(
        None, pod(revision=name, warming=True), live=deployment(planned(resource())), progress=seen, stalled=True
    )
    assert condition(found, "Tuned") == ("False", "TunerStalled")
    assert condition(found, "Ready") == ("False", "TunerStalled")
    assert found["tuning"]["state"] == "Running"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("NoTable", "ServingWithoutTable"),
        ("NoHipbmm", "ServingWithoutHipbmm"),
        ("NoAiter", "ServingWithoutAiter"),
        ("Tuned", None),
    ],
)
def test_a_server_that_crashed_with_its_table_serves_without_and_is_not_warm(mode: str, reason: str | None) -> None:
    start = Start(mode, "the server crashed 2 times while it warmed up" if reason else "")
    found = serving({"replicas": 2}, count=2, starts={"uid-qwen-1": start})
    assert condition(found, "Tuned") == ("True", "Tuned")
    if reason is None:
        assert condition(found, "Warm") == ("True", "AllReplicasWarm")
        return
    assert condition(found, "Warm") == ("False", reason)
    assert condition(found, "Ready") == ("True", "ServingUntuned")
    assert "qwen-1" in message(found, "Ready")
    assert "crashed 2 times" in message(found, "Ready")
    assert (found["warmReplicas"], found["warm"]) == (1, "1/2")


def test_a_pool_of_several_architectures_is_compatible_and_told() -> None:
    mixed = hardware(product="MI300X,MI355X", arch="gfx942,gfx950", nodes=2)
    found = status(hardware=mixed)
    assert condition(found, "HardwareCompatible") == ("True", "MixedArchitectures")
    assert "gfx942,gfx950" in message(found, "HardwareCompatible")
    assert condition(status(hardware=None), "HardwareCompatible") == ("Unknown", "NodesNotReadable")


@pytest.mark.parametrize("phase", [None, "Pending", "Bound"])
def test_a_volume_of_one_node_is_told_before_anything_waits_for_it(phase: str | None) -> None:
    spec = {"replicas": 4, "cache": {"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}}}
    claim = bound(phase, ago=5, accessModes=["ReadWriteOnce"]) if phase else None
    assert condition(status(spec, claim=claim), "StorageReady") == ("False", "AccessModeUnsupported")
    assert condition(status({**spec, "replicas": 1}, claim=claim), "StorageReady")[0] != "False"


def test_what_keeps_a_claim_from_being_bound_comes_first() -> None:
    spec = {"replicas": 4, "cache": {"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}}}
    claim = bound("Pending", storageClassName="x", accessModes=["ReadWriteOnce"])
    found = status(spec, claim=claim, storage_class=False)
    assert condition(found, "StorageReady") == ("False", "StorageClassNotFound")


def test_a_pull_secret_that_is_missing() -> None:
    name = planned(resource()).revision.name
    event = Note("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred)")
    refused = {"state": {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}}
    live, notes = deployment(planned(resource())), {"uid-qwen-1": event}
    first = status(None, pod(revision=name, warm=refused), live=live, notes=notes)
    assert condition(first, "Progressing") == ("False", "PullSecretNotFound")
    assert "regcred" in first["failures"][0]["message"]
    assert "401" in first["failures"][0]["message"]
    silent = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": ""}}}
    second = status(None, pod(revision=name, warm=silent), live=live, notes=notes, before=first)
    assert second == first


def test_a_pod_that_failed_is_told_until_another_serves_in_its_place() -> None:
    name = planned(resource()).revision.name
    gone = pod("gone", revision=name)
    gone["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
    alone = status(None, gone, live=deployment(planned(resource())))
    assert [failure["reason"] for failure in alone["failures"]] == ["Evicted"]
    after = pod("after", revision=name, ready=True, answer=report())
    after["metadata"]["creationTimestamp"] = time(30)
    assert status(None, gone, after, live=deployment(planned(resource())))["failures"] == []


def test_a_crd_that_is_older_than_the_operator() -> None:
    found = serving(dropped="status.cache.mirror")
    assert condition(found, "ConfigValid") == ("False", "OutdatedCRD")
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")


@pytest.mark.parametrize(
    "reason",
    ["FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer"],
)
def test_what_only_an_event_tells(reason: str) -> None:
    name = planned(resource()).revision.name
    live = deployment(planned(resource()))
    found = status(None, pod(revision=name), live=live, notes={"uid-qwen-1": Note(reason, "because")})
    assert condition(found, "Progressing") == ("False", reason)
    assert message(found, "Progressing") == "qwen-1: because"


def test_a_container_that_ends_and_one_that_cannot_run() -> None:
    name = planned(resource()).revision.name
    live = deployment(planned(resource()))
    side = {"state": {"terminated": ended(3, "port in use")}}
    found = status(None, pod(revision=name, answer=report(), harvest=side), live=live)
    assert condition(found, "Progressing") == ("False", "ContainerFailed")
    broken = {"state": {"waiting": {"reason": "RunContainerError", "message": "exec format error"}}}
    found = status(None, pod(revision=name, warm=broken), live=live)
    assert condition(found, "Progressing") == ("False", "RunContainerError")


def test_pods_that_are_refused_for_a_reason_that_is_not_known() -> None:
    live = deployment(planned(resource()))
    told = 'admission webhook "policy.example" denied the request: no'
    live["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": told})
    assert condition(status(live=live), "Progressing") == ("False", "PodCreationRefused")


def test_a_claim_that_is_being_deleted() -> None:
    claim = bound()
    claim["metadata"]["deletionTimestamp"] = time()
    assert condition(status(claim=claim), "StorageReady") == ("False", "ClaimTerminating")


def test_available() -> None:
    assert condition(serving(), "Available") == ("True", "MinimumReplicasAvailable")
    live = deployment(planned(resource()))
    assert condition(status(live=live), "Available") == ("False", "MinimumReplicasUnavailable")


@pytest.mark.parametrize(
    ("strategy", "ready", "expected"),
    [("Surge", 2, True), ("Surge", 1, False), ("InPlace", 1, True), ("InPlace", 0, False), ("Recreate", 1, False)],
)
def test_as_many_replicas_may_be_missing_as_the_strategy_takes_away(
    strategy: str, ready: int, *, expected: bool
) -> None:
    """By the pods: the Deployment's own count comes later."""
    spec = {"replicas": 2, "rollout": {"strategy": strategy}}
    plan = planned(resource(spec), observed(pod(answer=report())))
    bodies = [
        pod(f"qwen-{n}", revision=plan.revision.name, ready=n < ready, answer=report(), since=5) for n in range(2)
    ]
    found = status(spec, *bodies, live=deployment(plan))
    assert condition(found, "Available")[0] == str(expected)
    assert (found["replicas"], found["readyReplicas"]) == (2, ready)
    over = condition(found, "Progressing") == ("True", "RolloutComplete")
    assert over is (ready == 2)


def test_pods_of_two_templates_are_a_rollout() -> None:
    """Somebody changed the Deployment's template by hand, and it was put back: the annotation is the same on both."""
    spec = {"replicas": 2}
    plan = planned(resource(spec), observed(pod(answer=report())))
    told = []
    for hashes in (("a", "a"), ("a", "b")):
        bodies = [pod(f"qwen-{n}", revision=plan.revision.name, ready=True, answer=report()) for n in range(2)]
        for body, template_hash in zip(bodies, hashes, strict=True):
            body["metadata"]["labels"] = {"pod-template-hash": template_hash}
        told.append(condition(status(spec, *bodies, live=deployment(plan)), "Progressing")[1])
    assert told == ["RolloutComplete", "RollingOut"]
