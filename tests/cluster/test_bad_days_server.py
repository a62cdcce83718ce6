"""The server: each fault shows its own reason, and heals when its cause goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster.badday import failure, heals
from tests.cluster.kubelet import crashed, ended, running
from tests.cluster.world import World

from hipbmm_operator.kube.kinds import POD

Json = dict[str, Any]

WARM = ended(0, '{"v": 1, "state": "Complete", "reason": "Restored", "source": "Restored"}')


def server(world: World, state: Json) -> Json:
    """The first pod, whose server is so."""
    (pod,) = world.scheduled(1)
    world.kubelet.containers(pod, {"payload": ended(0), "warm": WARM, "harvest": running(ready=True), "server": state})
    return pod


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (crashed(1, "Traceback: boom", restarts=1), "ServerCrashed"),
        (crashed(137, reason="OOMKilled"), "OOMKilled"),
        (crashed(137, seconds=1800), "StartupDeadlineExceeded"),
    ],
)
def test_a_server_that_dies(world: World, state: Json, reason: str) -> None:
    world.create()
    pod = server(world, state)
    world.shows(Available=reason, Ready=reason)
    found = failure(world, pod=pod["metadata"]["name"], container="server", reason=reason)
    assert found["exitCode"] == state["lastState"]["terminated"]["exitCode"]
    assert found["time"] == state["lastState"]["terminated"]["finishedAt"]
    heals(world)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("NoTable", "ServingWithoutTable"),
        ("NoHipbmm", "ServingWithoutHipbmm"),
        ("NoAiter", "ServingWithoutAiter"),
    ],
)
def test_a_server_that_only_runs_without_its_table(world: World, mode: str, reason: str) -> None:
    world.create()
    pod = server(world, crashed(1, "boom", restarts=1))
    world.becomes("Available", "False", "ServerCrashed")
    why = "the server ended 3 times soon after its start, also without the table"
    server(world, crashed(1, "boom", restarts=3))
    world.kubelet.serving(pod, mode=f"{mode}: {why}")
    found = world.becomes("Warm", "False", reason)
    assert pod["metadata"]["name"] in found["message"]
    assert why in found["message"]
    world.shows(Ready="ServingUntuned", Tuned="True", warm="0/1", failures=[])
    world.change({"image": "registry.example/vllm:2"})
    world.pods(2)
    heals(world)


def test_a_server_that_never_gets_ready_again(world: World) -> None:
    """It has started, and /health fails since half a minute."""
    world.create()
    world.serve(1)
    world.becomes("Ready", "True")
    state = running() | {"started": True}
    pod = server(world, state)
    world.becomes("Ready", "False")
    since = (datetime.now(UTC) - timedelta(seconds=31)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = world.api.get(POD, world.namespace, pod["metadata"]["name"])["status"]["conditions"]
    aged = [entry | ({"lastTransitionTime": since} if entry["type"] == "Ready" else {}) for entry in conditions]
    name = pod["metadata"]["name"]
    world.api.merge(POD, world.namespace, name, {"status": {"conditions": aged}}, "status")
    assert name in world.becomes("Available", "False", "NotReady")["message"]
    heals(world)


def test_a_server_that_hangs_is_reported_without_any_event(world: World) -> None:
    """Nothing changes in the cluster when half a minute is over: the operator reconciles by itself."""
    world.create()
    server(world, running() | {"started": True})
    world.becomes("Available", "False", "NotReady")
    heals(world)
