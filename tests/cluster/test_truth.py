"""What the status says, when it says it, and how often: conditions, failures, Events."""

from functools import partial
from typing import Any

from tests.cluster.api import until
from tests.cluster.badday import heals
from tests.cluster.kubelet import crashed, ended, running, waiting
from tests.cluster.world import WAIT, World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]
_COUNTED_SECONDS = 45.0
"""A debounce window, a reconcile and a write on a busy machine; before the minutely reconcile."""


def told(world: World) -> list[tuple[str, str]]:
    """Events about the resource, by time."""
    mine = [
        event
        for event in world.api.items(kinds.EVENT, world.namespace)
        if event["involvedObject"]["kind"] == "HipbmmDeployment"
    ]
    mine.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    assert all(event["count"] == 1 for event in mine)
    return [(event["type"], event["reason"]) for event in mine]


def warned_to_the_end(world: World) -> list[tuple[str, str]]:
    """The same when the Event of the recovery is there: what was told before it is there, too."""
    until("the Event of the recovery", lambda: told(world)[-1:] and told(world)[-1][0] == "Normal")
    return told(world)


def test_events_tell_transitions_once(world: World) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    image = 'Back-off pulling image "registry.example/vllm:1"'
    for _ in range(3):
        # The kubelet goes back and forth between these two for as long as an image cannot be pulled.
        for state in (waiting("ErrImagePull", "manifest unknown"), waiting("ImagePullBackOff", image)):
            world.kubelet.containers(pod, {"payload": ended(0), "warm": state}, phase="Pending")
            world.becomes("Progressing", "False", "ImageNotFound")
    heals(world)
    events = warned_to_the_end(world)
    assert events.count(("Warning", "ImageNotFound")) == 1
    assert len(events) == len(set(events)), events
    assert [reason for kind, reason in events if kind == "Warning"] == ["ImageNotFound"]


def test_a_crash_loop_is_reported_once(world: World) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    warm = {"payload": ended(0), "warm": ended(0, '{"v": 1, "state": "Complete", "reason": "Restored"}')}
    for restarts in range(1, 4):
        dead = crashed(1, "boom", restarts=restarts)
        again = running() | {"lastState": dead["lastState"], "restartCount": restarts}
        for state in (dead, again):
            world.kubelet.containers(pod, {**warm, "harvest": running(ready=True), "server": state})
            world.becomes("Available", "False", "ServerCrashed")
    world.until("one failure", lambda status: len(status["failures"]) == 1)
    heals(world)
    assert [reason for kind, reason in warned_to_the_end(world) if kind == "Warning"] == ["ServerCrashed"]


def test_at_most_five_failures_and_none_after_recovery(world: World) -> None:
    world.create(replicas=7)
    world.serve(1)
    pods = world.scheduled(7)
    for pod in pods:
        stuck = waiting("ErrImagePull", "manifest unknown")
        world.kubelet.containers(pod, {"payload": ended(0), "warm": stuck}, phase="Pending")
    first = sorted(pod["metadata"]["name"] for pod in pods)[:5]
    # They are seen one after the other: which five there are is known when all have been.
    found = world.until("five failures", lambda status: [each["pod"] for each in status["failures"]] == first)
    assert {failure["reason"] for failure in found["failures"]} == {"ImageNotFound"}
    heals(world, 7)


def test_nothing_is_claimed_before_it_is_known(world: World) -> None:
    """The first status that is written has each condition, of this generation, and none that is not known yet."""
    path = kinds.HIPBMM_DEPLOYMENT.path(world.namespace)
    version = world.api.request("GET", path)["metadata"]["resourceVersion"]
    world.create()
    world.until("a status", lambda status: bool(status["conditions"]))

    def first_written() -> Json | None:
        bodies = world.api.watch(path, version)
        return next((body for body in bodies if (body.get("status") or {}).get("conditions")), None)

    first = until("the first status in the watch", first_written)
    conditions = {entry["type"]: (entry["status"], entry["reason"]) for entry in first["status"]["conditions"]}
    assert conditions == {
        "Ready": ("Unknown", "Pending"),
        "ConfigValid": ("True", "Valid"),
        "HardwareCompatible": ("True", "NodesMatched"),
        "StorageReady": ("Unknown", "Creating"),
        "Tuned": ("Unknown", "Pending"),
        "Warm": ("Unknown", "NoReplicas"),
        "Available": ("Unknown", "Pending"),
        "Progressing": ("Unknown", "Pending"),
    }
    assert {entry["observedGeneration"] for entry in first["status"]["conditions"]} == {1}


def test_the_scale_subresource_counts_the_pods_that_exist(world: World) -> None:
    """Before they serve, after a scale, and when they are gone."""
    path = kinds.HIPBMM_DEPLOYMENT.path(world.namespace, world.name, "scale")

    def counts(replicas: int) -> bool:
        return bool(world.api.request("GET", path)["status"]["replicas"] == replicas)

    def exist(replicas: int) -> bool:
        return len(world.api.items(kinds.POD, world.namespace)) == replicas

    world.create()
    for replicas in (1, 3, 0):
        if replicas != 1:
            change = {"spec": {"replicas": replicas}}
            world.api.merge(kinds.HIPBMM_DEPLOYMENT, world.namespace, world.name, change, "scale")
        until(f"{replicas} pods", partial(exist, replicas), WAIT)
        until(f"{replicas} pods to be counted", partial(counts, replicas), _COUNTED_SECONDS)
        if replicas == 1:
            heals(world)


def test_each_condition_says_which_generation_it_is_about(world: World) -> None:
    world.create()
    heals(world)
    status = world.observed({"service": {"port": 8080}})
    assert {entry["observedGeneration"] for entry in status["conditions"]} == {2}
    world.becomes("Ready", "True")


def test_a_default_that_is_spelled_out_changes_nothing(world: World) -> None:
    """The spec has other words for the same pods: they are noted on the stored template, which stays as it is."""
    world.create()
    heals(world)
    template = world.deployment()["spec"]["template"]
    name = world.status()["revision"]["current"]
    world.change({"server": {"port": 8000}})
    heals(world)
    assert world.deployment()["spec"]["template"] == template

    def noted() -> bool:
        revision = world.api.get(kinds.CONTROLLER_REVISION, world.namespace, name)
        return "," in revision["metadata"]["annotations"]["hipbmm.io/content"]

    until("the content to be noted", noted)


def test_text_of_any_kind_reaches_the_children_as_it_is(world: World) -> None:
    """A chat template with an emoji, which YAML cannot escape as JSON does."""
    text = "{{ '\U0001f916 \u6f22\u5b57' }}\n\t\"'\x85\u2028\ufeff$"
    world.create(
        replicas=2, server={"env": [{"name": "TEMPLATE", "value": text}]}, service={"annotations": {"x": text}}
    )
    (server,) = world.deployment()["spec"]["template"]["spec"]["containers"]
    assert {"name": "TEMPLATE", "value": text} in server["env"]
    assert (
        until("the Service", lambda: world.api.find(kinds.SERVICE, world.namespace, "qwen"))["metadata"]["annotations"][
            "x"
        ]
        == text
    )
    world.recover(2)
