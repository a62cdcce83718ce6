"""The tuner and the table: each fault shows its own reason, and heals when its cause goes."""

from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.badday import failure, heals
from tests.cluster.kubelet import crashed, ended, report
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.test_rollouts import new_pods
from tests.cluster.world import World

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (crashed(1, "Segmentation fault in hipBLASLt"), "TunerCrashed"),
        (crashed(137, reason="OOMKilled"), "OOMKilled"),
    ],
)
def test_a_tuner_that_dies(world: World, state: Json, reason: str) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.containers(pod, {"payload": ended(0), "warm": state}, phase="Pending")
    world.becomes("Tuned", "False", reason)
    failure(world, container="warm", exitCode=state["lastState"]["terminated"]["exitCode"])
    world.until("the last error", lambda status: reason in status["tuning"]["lastError"])
    world.becomes("Ready", "False", reason)
    heals(world)


def test_the_program_cannot_be_delivered(world: World) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.containers(pod, {"payload": crashed(1, "No space left on device")}, phase="Pending")
    assert "No space left" in world.becomes("Progressing", "False", "PayloadFailed")["message"]
    heals(world)


def served_untuned(world: World, state: str, reason: str, replicas: int = 2) -> None:
    """Every replica serves, and its tuner has ended so."""
    world.create(replicas=replicas)
    answer = report(state=state, reason=reason, message=f"because of {reason}", tuned=100)
    world.serve(1, answer)
    world.serve(replicas, answer)


def test_a_tuner_that_hangs(world: World, operator: OperatorProcess) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    line = "hipbmm progress phase=Tuning tuned={} problems=204 failed=0 elapsed_s=12 eta_s=40\n"
    world.kubelet.warming(pod, line.format(38))
    world.becomes("Tuned", "False", "Tuning")
    assert "38 of 204" in world.becomes("Tuned", "False", "TunerStalled")["message"]
    world.shows(Ready="TunerStalled")
    world.kubelet.warming(pod, line.format(39))
    assert "39 of 204" in world.becomes("Tuned", "False", "Tuning")["message"]
    heals(world)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("Partial", "BudgetExhausted"),
        ("Partial", "LowMemory"),
        ("Partial", "ProblemsFailed"),
        ("Unsupported", "NoSolution"),
        ("Failed", "StackMismatch"),
        ("Failed", "StackUnknown"),
        ("Failed", "NoGpu"),
        ("Failed", "TunerFailed"),
        ("Failed", "TunerOutOfMemory"),
        ("NoPlan", "UnknownArchitecture"),
    ],
)
def test_a_table_that_is_not_complete_is_served_and_shown(world: World, state: str, reason: str) -> None:
    served_untuned(world, state, reason)
    ready = world.becomes("Ready", "True", "ServingUntuned")
    assert ready["message"] == f"{reason}: because of {reason}"
    assert world.becomes("Tuned", "False", reason)["message"] == f"because of {reason}"
    assert world.shows(Ready="ServingUntuned", Warm="False", warmReplicas=0)["tuning"]["state"] == state


@pytest.mark.parametrize("state", ["Partial", "Unsupported", "Failed", "NoPlan"])
def test_a_table_that_was_not_complete_is_replaced_by_one_that_is(world: World, state: str) -> None:
    served_untuned(world, state, "ProblemsFailed", replicas=1)
    world.becomes("Ready", "True", "ServingUntuned")
    world.change({"tuning": {"budgetSeconds": 3600}})
    heals(world)


def test_policy_block_keeps_an_incomplete_table_from_serving(world: World) -> None:
    world.create(replicas=2, tuning={"policy": "Block"})
    (pod,) = world.scheduled(1)
    answer = '{"v": 1, "state": "Partial", "reason": "BudgetExhausted", "problems": 204, "tuned": 100}'
    world.kubelet.containers(pod, {"payload": ended(0), "warm": crashed(1, answer)}, phase="Pending")
    world.becomes("Tuned", "False", "BudgetExhausted")
    world.becomes("Ready", "False", "BudgetExhausted")
    assert len(world.pods(1)) == 1
    world.kubelet.warmed(pod)
    heals(world, 2)


def test_tuned_is_about_the_stack_that_the_running_pods_report(world: World) -> None:
    world.create(rollout={"untuned": "Replace"})
    world.serve(1)
    assert world.shows(Tuned="Tuned")["tuning"]["key"] == "9f2c0a1b2c3d4e5f"
    old = world.scheduled(1)
    world.change({"image": "registry.example/vllm:2"})
    (new,) = until("the new pod", lambda: new_pods(world, old))
    world.kubelet.warming(new, "hipbmm progress phase=Tuning tuned=7 problems=204 failed=0 elapsed_s=1 eta_s=2\n")
    world.becomes("Tuned", "False", "Tuning")
    world.kubelet.warmed(new, report(key="bbbbbbbbbbbbbbbb", state="Partial", reason="BudgetExhausted", tuned=9))
    assert world.shows(Tuned="BudgetExhausted")["tuning"]["key"] == "bbbbbbbbbbbbbbbb"
    world.kubelet.serving(new, report(key="bbbbbbbbbbbbbbbb", state="Partial", reason="BudgetExhausted", tuned=9))
    world.shows(Progressing="RolloutComplete", Tuned="BudgetExhausted")
