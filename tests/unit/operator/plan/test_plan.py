"""Replicas, strategy, claim: what is planned in which situation."""

from typing import Any

import pytest
from tests.unit.operator.make import Json, deployment, observed, planned, pod, report, resource, time

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Observed, ServiceMonitorState
from hipbmm_operator.plan.plan import Plan

NO_GPU = "0/1 nodes are available: 1 Insufficient amd.com/gpu."


def seen(*bodies: Json, live: Json | None = None) -> Observed:
    return observed(*bodies, live=live)


def steps(plan: Plan, kind: kinds.Kind) -> list[str]:
    return [step.mode for step in plan.steps if step.kind == kind]


def test_the_first_rollout_is_held_at_one_until_a_report() -> None:
    three = resource({"replicas": 3})
    assert planned(three).replicas == 1
    assert planned(three, seen(pod(warming=True))).replicas == 1
    assert planned(three, seen(pod(answer=report()))).replicas == 3


@pytest.mark.parametrize("state", ["Partial", "Unsupported", "NoPlan", "Failed", "Disabled"])
def test_an_incomplete_table_lets_go_only_when_it_may_be_served(state: str) -> None:
    answer = report(state=state, reason="Because")
    assert planned(resource({"replicas": 3}), seen(pod(answer=answer))).replicas == 3
    block = resource({"replicas": 3, "tuning": {"policy": "Block"}})
    assert planned(block, seen(pod(answer=answer))).replicas == 1
    assert planned(block, seen(pod(answer=report()))).replicas == 3


def test_once_released_it_is_never_held_again() -> None:
    three = resource({"replicas": 3})
    plan = planned(three, seen(pod(answer=report())))
    live = deployment(plan)
    assert live["metadata"]["annotations"][names.ANNOTATION_RELEASED] == "true"
    assert planned(three, seen(live=live)).replicas == 3
    assert planned(resource({"replicas": 3, "image": "vllm:2"}), seen(pod(warming=True), live=live)).replicas == 3


def test_a_single_replica_that_reported_is_remembered_for_a_later_scale() -> None:
    live = deployment(planned(resource({"replicas": 1}), seen(pod(answer=report()))))
    assert planned(resource({"replicas": 3}), seen(live=live)).replicas == 3


def test_zero_replicas_and_suspension() -> None:
    assert planned(resource({"replicas": 0})).replicas == 0
    assert planned(resource({"replicas": 3, "suspend": True}), seen(pod(answer=report()))).replicas == 0


def rolling(*, since: float, strategy: str = "Auto", old_ready: bool = True) -> tuple[Plan, Observed, Any]:
    """An update whose new pod finds no GPU."""
    was = planned(resource(), seen(pod(answer=report())))
    live = deployment(was)
    new = resource({"image": "vllm:2", "rollout": {"strategy": strategy}})
    name = planned(new, seen(live=live)).revision.name
    live["metadata"]["annotations"][names.ANNOTATION_REVISION] = name
    old = pod("old", revision=was.revision.name, answer=report(), ready=old_ready)
    starved = pod("new", revision=name, unschedulable=NO_GPU, since=since)
    return was, seen(old, starved, live=live), new


def test_a_surge_that_finds_no_gpu_goes_on_in_place_after_30_seconds() -> None:
    _, before, new = rolling(since=20)
    early = planned(new, before)
    assert early.strategy == "Surge"
    assert early.requeue_after == 10
    _, after, new = rolling(since=30)
    assert planned(new, after).strategy == "InPlace"


def test_in_place_is_kept_to_the_end_of_the_rollout_and_then_given_up() -> None:
    _, _, new = rolling(since=30)
    plan = planned(new, rolling(since=30)[1])
    live = deployment(plan)
    assert planned(new, seen(live=live)).strategy == "InPlace"
    old = pod("old", revision="before", answer=report(), ready=True)
    assert planned(new, seen(old, live=live)).strategy == "InPlace"
    updated = pod("new", revision=plan.revision.name, answer=report(), ready=True)
    assert planned(new, seen(updated, live=live)).strategy == "Surge"


def test_a_claim_is_looked_at_when_it_should_be_bound() -> None:
    metadata = {"name": "qwen-store", "uid": "uid-c", "creationTimestamp": time(20)}
    for phase, expected in (("Pending", 25), ("Bound", None)):
        claim = {"metadata": metadata, "spec": {}, "status": {"phase": phase}}
        assert planned(resource(), observed(claim=claim)).requeue_after == expected


@pytest.mark.parametrize("strategy", ["Surge", "InPlace", "Recreate"])
def test_an_explicit_strategy_is_kept(strategy: str) -> None:
    _, stuck, new = rolling(since=300, strategy=strategy)
    assert planned(new, stuck).strategy == strategy


def test_a_first_pod_without_gpu_is_no_surge_deadlock() -> None:
    plan = planned(resource(), seen(pod(unschedulable=NO_GPU, since=300)))
    assert plan.strategy == "Surge"


def claim(phase: str = "Bound", *, ours: bool = True, **spec: object) -> Json:
    labels = {**names.labels("qwen")} if ours else {}
    annotations = {names.ANNOTATION_DEPLOYMENT: "qwen"} if ours else {}
    metadata = {"name": "qwen-store", "namespace": "ns", "uid": "uid-c", "resourceVersion": "3"}
    full = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "std"}
    return {
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "spec": full | spec,
        "status": {"phase": phase},
    }


def test_a_claim_is_created_once() -> None:
    assert steps(planned(resource()), kinds.CLAIM) == ["create"]
    assert steps(planned(resource(), observed(claim=claim())), kinds.CLAIM) == []


def test_a_claim_that_grows_is_patched_and_one_that_shrinks_is_not() -> None:
    bigger = resource({"cache": {"pvc": {"size": "2Gi"}}})
    (step,) = [step for step in planned(bigger, observed(claim=claim())).steps if step.kind == kinds.CLAIM]
    assert step.body["spec"] == {"resources": {"requests": {"storage": "2Gi"}}}
    assert step.body["metadata"]["uid"] == "uid-c"
    smaller = resource({"cache": {"pvc": {"size": "512Mi"}}})
    assert steps(planned(smaller, observed(claim=claim())), kinds.CLAIM) == []


def test_a_bound_claim_is_never_replaced_and_an_unbound_one_is() -> None:
    other = resource({"cache": {"pvc": {"storageClassName": "fast"}}})
    assert planned(other, observed(claim=claim("Bound"))).deletions == ()
    (deletion,) = planned(other, observed(claim=claim("Pending"))).deletions
    assert (deletion.kind, deletion.uid, deletion.resource_version) == (kinds.CLAIM, "uid-c", "3")
    assert steps(planned(other, observed(claim=claim("Pending"))), kinds.CLAIM) == []


def test_somebody_elses_claim_is_used_and_never_touched() -> None:
    named = resource({"cache": {"pvc": {"claimName": "qwen-store", "storageClassName": "fast", "size": "9Gi"}}})
    plan = planned(named, observed(claim=claim("Pending", ours=False)))
    assert steps(plan, kinds.CLAIM) == []
    assert plan.deletions == ()
    assert plan.placement.claim == "qwen-store"


def test_without_a_volume_each_pod_has_a_store_of_its_own() -> None:
    plan = planned(resource({"cache": {"pvc": {"create": False}, "mirror": "Never"}}))
    assert plan.placement.claim is None
    volumes = {volume["name"]: volume for volume in plan.revision.template["spec"]["volumes"]}
    assert volumes["store"] == {"name": "store", "emptyDir": {}}
    assert "mirror" not in volumes


def test_a_claim_that_is_not_retained_goes_with_its_owner() -> None:
    (step,) = [s for s in planned(resource({"cache": {"pvc": {"retain": False}}})).steps if s.kind == kinds.CLAIM]
    assert step.body["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


def test_a_budget_only_for_several_replicas() -> None:
    assert steps(planned(resource({"replicas": 2})), kinds.BUDGET) == ["apply"]
    live = {"metadata": {"name": "qwen", "uid": "b", "resourceVersion": "1", "ownerReferences": [{"uid": "uid-1"}]}}
    plan = planned(resource({"replicas": 1}), observed(budget=live))
    assert [deletion.kind for deletion in plan.deletions] == [kinds.BUDGET]
    foreign = {"metadata": live["metadata"] | {"ownerReferences": [{"uid": "other"}]}}
    assert planned(resource({"replicas": 1}), observed(budget=foreign)).deletions == ()


def test_a_service_monitor_only_when_asked_and_known_to_the_cluster() -> None:
    asked = resource({"service": {"monitor": {"enabled": True}}})
    assert steps(planned(asked), kinds.SERVICE_MONITOR) == ["apply"]
    assert steps(planned(asked, observed(monitor=ServiceMonitorState(served=False))), kinds.SERVICE_MONITOR) == []
    assert steps(planned(resource()), kinds.SERVICE_MONITOR) == []
    live = {"metadata": {"name": "qwen", "uid": "m", "resourceVersion": "1", "ownerReferences": [{"uid": "uid-1"}]}}
    left = planned(resource(), observed(monitor=ServiceMonitorState(parse.child(live))))
    assert [(deletion.kind, deletion.uid) for deletion in left.deletions] == [(kinds.SERVICE_MONITOR, "m")]
    foreign = {"metadata": live["metadata"] | {"ownerReferences": [{"uid": "other"}]}}
    assert planned(resource(), observed(monitor=ServiceMonitorState(parse.child(foreign)))).deletions == ()


def test_a_monitored_service_remembers_its_monitor_and_shows_the_sidecar() -> None:
    def service(spec: Json, seen: Observed | None = None) -> Json:
        (step,) = [step for step in planned(resource(spec), seen).steps if step.kind == kinds.SERVICE]
        return step.body

    asked = {"service": {"monitor": {"enabled": True}}}
    assert [port["port"] for port in service(asked)["spec"]["ports"]] == [80, 9410]
    assert [port["port"] for port in service({**asked, "tuning": {"harvest": False}})["spec"]["ports"]] == [80]
    assert service(asked)["metadata"]["annotations"][names.ANNOTATION_MONITORED] == "true"
    assert names.ANNOTATION_MONITORED not in service({})["metadata"]["annotations"]
    live = {"metadata": {"name": "qwen", "uid": "m", "resourceVersion": "1"}}
    assert (
        names.ANNOTATION_MONITORED
        in service({}, observed(monitor=ServiceMonitorState(parse.child(live))))["metadata"]["annotations"]
    )
