"""Rollouts that nodes hold up: a kubelet that refuses new pods beside old ones, and one that never ends an old pod."""

import copy

import pytest
from tests.unit.operator.make import Json, pod, time
from tests.unit.operator.plan.test_spare_room import GPU, Rollout
from tests.unit.operator.status.situations import condition, status

NODE_REFUSALS = {
    "TopologyAffinityError": "Pod was rejected: Resources cannot be allocated with Topology locality",
    "OutOfamd.com/gpu": "Pod was rejected: Node didn't have enough resource: amd.com/gpu, requested: 1, used: 2",
    "UnexpectedAdmissionError": "Pod was rejected: Allocate failed due to requested number of devices unavailable for"
    " amd.com/gpu. Requested: 1, Available: 0, which is unexpected",
}


def overdue(ago: float) -> Json:
    why = {"reason": "ProgressDeadlineExceeded", "lastTransitionTime": time(ago)}
    return {"type": "Progressing", "status": "False", **why}


def refused_by_node(rollout: Rollout, name: str, since: float, reason: str, message: str) -> Json:
    body = rollout.labelled(pod(name, revision=rollout.revision), "new")
    body["metadata"]["creationTimestamp"] = time(since)
    body["status"] = {"phase": "Failed", "reason": reason, "message": message}
    return body


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("reason", NODE_REFUSALS)
def test_a_node_that_takes_no_second_pod_is_no_room(reason: str, *, restart: bool) -> None:
    """The scheduler counts GPUs, the kubelet also asks whether those of one NUMA node are left."""
    rollout = Rollout(restart=restart)
    for body in rollout.old:
        body["metadata"]["creationTimestamp"] = time(900)
    new = [refused_by_node(rollout, f"new-{n}", since, reason, NODE_REFUSALS[reason]) for n, since in ((1, 20), (2, 5))]
    early = rollout.plan(*new)
    assert (early.strategy, early.requeue_after) == ("Surge", 10)
    first = refused_by_node(rollout, "new-0", 31, reason, NODE_REFUSALS[reason])
    assert rollout.plan(first, *new).strategy == "InPlace"
    through = rollout.labelled(pod("new-3", revision=rollout.revision, warming=True), "new")
    assert rollout.plan(first, *new, through).strategy == "Surge"
    elsewhere = {**first, "spec": {"nodeName": "node-2"}}
    assert rollout.plan(elsewhere).strategy == "Surge"
    record = refused_by_node(rollout, "new-0", 9000, reason, NODE_REFUSALS[reason])
    assert rollout.plan(record).strategy == "Surge", "of another day"


def test_a_node_whose_device_plugin_fails_stops_no_pod() -> None:
    rollout = Rollout()
    for body in rollout.old:
        body["metadata"]["creationTimestamp"] = time(900)
    message = "Pod was rejected: Allocate failed due to rpc error: connection refused, which is unexpected"
    failed = refused_by_node(rollout, "new", 600, "UnexpectedAdmissionError", message)
    assert rollout.plan(failed).strategy == "Surge"


@pytest.mark.parametrize("serving", [1, 2])
def test_an_old_pod_that_never_ends_is_named(serving: int) -> None:
    """Its node is lost. Once the Deployment's own deadline has passed, nothing moves, and the status says so."""
    rollout = Rollout()
    rollout.live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    for body in rollout.old[:serving]:
        body["metadata"]["deletionTimestamp"] = time(5000)
    bodies = [*rollout.old, rollout.waiting(GPU, since=5000)]
    spec = {"replicas": 2, "image": "vllm:2"}
    found = status(spec, *copy.deepcopy(bodies), live=rollout.live, revisions=rollout.revisions)
    assert condition(found, "Progressing") == ("True", "UpdatingInPlace")
    rollout.live["status"]["conditions"] = [overdue(5)]
    found = status(spec, *bodies, live=rollout.live, revisions=rollout.revisions)
    assert condition(found, "Progressing") == ("False", "InsufficientGPU")
    assert condition(found, "Stalled") == ("True", "InsufficientGPU")
    (said,) = [each["message"] for each in found["conditions"] if each["type"] == "Progressing"]
    assert "old-1 on node node-1 does not end" in said


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("switched", [False, True])
def test_a_deadline_that_passed_before_the_rollout_goes_on_in_place_says_nothing_about_it(
    *, switched: bool, stopped: bool
) -> None:
    """The operator was away for longer than the deadline, and finds a new pod without room."""
    rollout = Rollout()
    rollout.live["spec"]["strategy"]["rollingUpdate"] = {
        "maxSurge": 0 if switched else 1,
        "maxUnavailable": int(switched),
    }
    rollout.live["status"]["conditions"] = [overdue(5)]
    old = rollout.old[stopped:]
    found = status(
        {"replicas": 2, "image": "vllm:2"},
        *old,
        rollout.waiting(GPU, since=5000),
        live=rollout.live,
        revisions=rollout.revisions,
    )
    assert (condition(found, "Progressing")[0] == "False") is (switched and stopped)
    assert ("Stalled" in {each["type"] for each in found["conditions"]}) is (switched and stopped)


def test_a_pod_that_is_stopped_after_the_deadline_has_moved_the_rollout() -> None:
    """Kubernetes says so a moment later: it counts the pods that are left first."""
    rollout = Rollout()
    rollout.live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    rollout.live["status"]["conditions"] = [overdue(100)]
    rollout.old[0]["metadata"]["deletionTimestamp"] = time(-60)
    bodies = [*rollout.old, rollout.waiting(GPU, since=5000)]
    spec = {"replicas": 2, "image": "vllm:2"}
    found = status(spec, *bodies, live=rollout.live, revisions=rollout.revisions)
    assert condition(found, "Progressing") == ("True", "UpdatingInPlace")
    assert "Stalled" not in {each["type"] for each in found["conditions"]}
