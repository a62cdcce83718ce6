"""Available and Progressing."""

import pytest
from tests.unit.operator.make import (
    Json,
    deployment,
    ended,
    observed,
    planned,
    pod,
    report,
    resource,
    time,
)
from tests.unit.operator.status.situations import condition, message, serving, status

from hipbmm_operator.api import reasons
from hipbmm_operator.plan.write_failure import WriteFailure


def test_a_deployment_that_a_finalizer_holds_moves_nothing() -> None:
    live = deployment(planned(resource()))
    live["metadata"]["deletionTimestamp"] = time(5)
    found = status(live=live)
    assert condition(found, "Progressing") == ("False", "Conflict")
    assert "Deployment qwen is being deleted" in message(found, "Progressing")


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
    assert condition(found, "Ready") == ("False", "ServingPreviousRevision")
    assert condition(found, "Available")[0] == "True"
    assert condition(found, "Progressing") == ("False", "ImageNotFound")
    assert [(f["pod"], f["container"]) for f in found["failures"]] == [("new", "warm")]
    assert found["phase"] == "Degraded"
    assert (found["revision"]["updated"], found["revision"]["serving"]) == (1, 0)


def test_a_change_is_not_rolled_out_when_it_was_only_just_written() -> None:
    """The Deployment that was seen is complete, with the template and the replicas of before."""
    was = planned(resource(), observed(pod(answer=report())))
    live = deployment(was)
    old = pod("old", revision=was.revision.name, ready=True, answer=report())
    for change in ({"image": "vllm:2"}, {"replicas": 2}):
        found = status(change, old, live=live)
        assert condition(found, "Progressing") == ("True", "RollingOut")
        assert found["phase"] in ("Updating", "Running")


@pytest.mark.parametrize(("asked", "reason"), [({"suspend": True}, "Suspended"), ({"replicas": 0}, "NoReplicasAsked")])
def test_what_is_to_be_stopped_is_stopped_when_no_pod_is_left(asked: Json, reason: str) -> None:
    """Ready and the phase say it in the same status, whichever of the Deployment and the pods is seen first."""
    was = planned(resource(), observed(pod(answer=report())))
    stopped = planned(resource(asked), observed(live=deployment(was)))
    serves = pod(revision=was.revision.name, ready=True, answer=report())
    broken = pod(revision=was.revision.name, warm={"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}})
    ends, gone = pod(revision=was.revision.name, answer=report()), pod(revision=was.revision.name)
    ends["metadata"]["deletionTimestamp"] = time(-60)  # it holds its GPUs for as long as its requests last
    gone["status"] |= {"phase": "Failed", "reason": "Evicted"}
    for live, bodies, ready, phase in (
        (was, [serves], ("Unknown", "RollingOut"), "Updating"),
        (stopped, [serves], ("Unknown", "RollingOut"), "Updating"),
        (was, [], ("Unknown", "RollingOut"), "Updating"),
        (stopped, [broken], ("False", "ImagePullFailed"), "Degraded"),
        (stopped, [ends], ("Unknown", "RollingOut"), "Updating"),
        (stopped, [gone], ("True", reason), "Suspended"),
        (stopped, [], ("True", reason), "Suspended"),
    ):
        found = status(asked, *bodies, live=deployment(live))
        assert (condition(found, "Ready"), found["phase"]) == (ready, phase)


@pytest.mark.parametrize(("node", "said"), [("node-1", ": qwen-1 on node node-1 has not ended"), ("", "")])
def test_whose_end_is_waited_for_is_said_of_pods_that_have_a_node(node: str, said: str) -> None:
    """A finalizer can hold one that never had."""
    was = planned(resource(), observed(pod(answer=report())))
    stopped = planned(resource({"suspend": True}), observed(live=deployment(was)))
    ends = pod(revision=was.revision.name)
    ends["metadata"] |= {"name": "qwen-1", "deletionTimestamp": time(60)}
    ends["spec"] = {"nodeName": node} if node else {}
    found = status({"suspend": True}, ends, live=deployment(stopped))
    assert message(found, "Ready") == f"replicas are being stopped{said}"


def test_pods_that_cannot_be_stopped_are_not_said_to_be() -> None:
    was = planned(resource(), observed(pod(answer=report())))
    serves = pod(revision=was.revision.name, ready=True, answer=report())
    refused = (WriteFailure("Forbidden", "Deployment qwen: no", retry=True),)
    found = status({"suspend": True}, serves, live=deployment(was), refused=refused)
    assert (condition(found, "Ready"), found["phase"]) == (("False", "Forbidden"), "Degraded")


@pytest.mark.parametrize("reason", ["Forbidden", "QuotaExceeded", "NameConflict", "NamespaceTerminating", "Rejected"])
def test_a_write_that_was_refused(reason: reasons.Reason) -> None:
    found = status(refused=(WriteFailure(reason, "Service qwen: no", retry=True),))
    assert condition(found, "Progressing") == ("False", reason)
    assert condition(found, "Ready") == ("False", reason)


def test_pods_that_kubernetes_refuses_to_create() -> None:
    live = deployment(planned(resource()))
    message = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'
    live["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": message})
    assert condition(status(live=live), "Progressing") == ("False", "PodSecurityRejected")


def test_pods_that_are_refused_for_a_reason_that_is_not_known() -> None:
    live = deployment(planned(resource()))
    reported = 'admission webhook "policy.example" denied the request: no'
    live["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": reported})
    assert condition(status(live=live), "Progressing") == ("False", "PodCreationRefused")


def test_the_progress_deadline() -> None:
    live = deployment(planned(resource()))
    live["status"]["conditions"].append(
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "lastTransitionTime": time(5),
        }
    )
    found = status(live=live)
    assert condition(found, "Progressing") == condition(found, "Ready") == ("False", "ProgressDeadlineExceeded")
    assert condition(found, "Stalled") == ("True", "ProgressDeadlineExceeded")


def test_not_even_the_replica_set_of_a_change_is_let_in() -> None:
    live = deployment(planned(resource()))
    reported = 'replicasets.apps "qwen-5d" is forbidden: exceeded quota: q, requested: count/replicasets.apps=1'
    live["status"]["conditions"].append(
        {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": reported}
    )
    assert condition(status(live=live), "Progressing") == ("False", "QuotaExceeded")


def test_a_container_that_ends_and_one_that_cannot_run() -> None:
    name = planned(resource()).revision.name
    live = deployment(planned(resource()))
    side = {"state": {"terminated": ended(3, "port in use")}}
    found = status(None, pod(revision=name, answer=report(), harvest=side), live=live)
    assert condition(found, "Progressing") == ("False", "ContainerFailed")
    broken = {"state": {"waiting": {"reason": "RunContainerError", "message": "exec format error"}}}
    found = status(None, pod(revision=name, warm=broken), live=live)
    assert condition(found, "Progressing") == ("False", "RunContainerError")


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
    reported = []
    for hashes in (("a", "a"), ("a", "b")):
        bodies = [pod(f"qwen-{n}", revision=plan.revision.name, ready=True, answer=report()) for n in range(2)]
        for body, template_hash in zip(bodies, hashes, strict=True):
            body["metadata"]["labels"] = {"pod-template-hash": template_hash}
        reported.append(condition(status(spec, *bodies, live=deployment(plan)), "Progressing")[1])
    assert reported == ["RolloutComplete", "RollingOut"]
