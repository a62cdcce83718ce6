"""Replicas and strategy."""

from typing import Any

import pytest
from tests.unit.operator.make import Json, deployment, hardware, observed, planned, pod, report, resource

from hipbmm_operator.detect.node_fit import HardwareSummary
from hipbmm_operator.kube import names
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.plan import Plan

NO_GPU = "0/1 nodes are available: 1 Insufficient amd.com/gpu."


def seen(*bodies: Json, live: Json | None = None) -> Observed:
    return observed(*bodies, live=live)


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


def test_a_single_replica_that_reported_is_no_write_and_lets_a_later_scale_go_while_it_lives() -> None:
    one, three = resource({"replicas": 1}), resource({"replicas": 3})
    before, after = planned(one), planned(one, seen(pod(answer=report())))
    assert deployment(after) == deployment(before)
    assert planned(three, seen(pod(answer=report()), live=deployment(after))).replicas == 3
    assert planned(three, seen(live=deployment(after))).replicas == 1  # No table is known to be there.


def test_the_note_stays_when_a_resource_shrinks_to_one() -> None:
    live = deployment(planned(resource({"replicas": 3}), seen(pod(answer=report()))))
    shrunk = deployment(planned(resource({"replicas": 1}), seen(pod(answer=report()), live=live)))
    assert shrunk["metadata"]["annotations"][names.ANNOTATION_RELEASED] == "true"
    assert planned(resource({"replicas": 3}), seen(live=shrunk)).replicas == 3


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
    waiting = pod("new", revision=name, unschedulable=NO_GPU, since=since)
    return was, seen(old, waiting, live=live), new


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


@pytest.mark.parametrize("strategy", ["Surge", "InPlace", "Recreate"])
def test_an_explicit_strategy_is_kept(strategy: str) -> None:
    _, stuck, new = rolling(since=300, strategy=strategy)
    assert planned(new, stuck).strategy == strategy


def test_a_first_pod_without_gpu_is_no_surge_deadlock() -> None:
    plan = planned(resource(), seen(pod(unschedulable=NO_GPU, since=300)))
    assert plan.strategy == "Surge"


MIXED = hardware(kinds={"a1": "MI300X/SPX/304", "a2": "MI300X/SPX/304", "b1": "MI355X/SPX/256"})


def on(node: str, name: str, **more: Any) -> Json:  # noqa: ANN401
    """A pod on a node."""
    body = pod(name, **more)
    body["spec"]["nodeName"] = node
    return body


def grown(live: int, *bodies: Json, wanted: int = 6, pool: HardwareSummary = MIXED) -> int:
    """Replicas of the next write, of a Deployment that has so many and has let the first rollout go."""
    of = resource({"replicas": wanted})
    body = deployment(planned(of, observed(pod(answer=report()))))
    body["spec"]["replicas"] = live
    return planned(of, observed(*bodies, live=body, hardware=pool)).replicas


def test_in_a_mixed_pool_each_kind_of_node_is_tuned_once() -> None:
    first = on("a1", "p1", answer=report())
    second = on("a2", "p2")
    assert grown(1, first) == 2
    assert grown(2, first) == 2, "the second one is not made yet"
    assert grown(2, first, {**pod("p2"), "spec": {}}) == 2, "nobody knows yet where it lands"
    assert grown(2, first, second) == 3, "it finds the rows of the first one"
    third = on("b1", "p3", warming=True)
    assert grown(3, first, second, third) == 3, "it tunes, and no other one beside it"
    assert grown(3, first, second, on("b1", "p3", answer=report())) == 6


def test_a_pool_of_one_kind_is_let_go_at_once() -> None:
    one = hardware(kinds={"a1": "MI300X/SPX/304", "a2": "MI300X/SPX/304"})
    assert grown(1, on("a1", "p1", answer=report()), pool=one) == 6


def test_replicas_without_a_node_keep_no_other_from_an_autoscaler() -> None:
    waiting = [pod(f"w{number}", unschedulable=NO_GPU) for number in range(3)]
    assert grown(4, on("a1", "p1", answer=report()), *waiting) == 5


def test_replicas_that_are_there_are_never_taken_away() -> None:
    bodies = [on("a1", f"p{number}", answer=report()) for number in range(5)]
    assert grown(5, *bodies, on("b1", "p9", warming=True)) == 5
    assert grown(5, *bodies, wanted=2) == 2
