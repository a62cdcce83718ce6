"""Updates: a bad one, one without a spare GPU; and what else people and administrators do meanwhile."""

import json
import time
from typing import Any

import pytest
from tests.cluster.api import Api, until
from tests.cluster.kubelet import crashed, ended, report, running, waiting
from tests.cluster.rights import Rights
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]
SETTLED = 10
"""Seconds that a new pod serves before an old one stops."""


def new_pods(world: World, old: list[Json]) -> list[Json]:
    """Pods on nodes that were not there before."""
    known = {pod["metadata"]["uid"] for pod in old}
    found = [pod for pod in world.api.items(kinds.POD, world.namespace) if pod["metadata"]["uid"] not in known]
    return [pod for pod in found if pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]]


def settle(world: World, **spec: object) -> None:
    world.create(**spec)
    world.serve(1)
    world.becomes("Ready", "True")


def test_a_bad_revision_leaves_the_old_one_serving_and_says_what_is_wrong(world: World) -> None:
    settle(world)
    (old,) = world.scheduled(1)
    world.change({"image": "registry.example/vllm:broken"})
    (new,) = until("the new pod", lambda: new_pods(world, [old]))
    world.kubelet.containers(
        new, {"payload": ended(0), "warm": waiting("ErrImagePull", "manifest unknown")}, phase="Pending"
    )
    status = world.shows(
        Progressing="ImageNotFound", Ready="ServingPreviousRevision", Available="True", phase="Degraded"
    )
    assert status["revision"]["serving"] == 0
    (failure,) = status["failures"]
    assert (failure["pod"], failure["container"]) == (new["metadata"]["name"], "warm")
    assert world.api.get(kinds.POD, world.namespace, old["metadata"]["name"])
    world.change({"image": "registry.example/vllm:1"})
    world.shows(Progressing="RolloutComplete", Ready="AllReplicasWarm", failures=[])


def test_an_update_tunes_on_the_first_new_pod_while_the_old_ones_serve(world: World) -> None:
    world.create(replicas=2)
    world.serve(1)
    world.serve(2)
    world.becomes("Ready", "True")
    old = world.scheduled(2)
    world.change({"image": "registry.example/vllm:2"})
    (new,) = until("the new pod", lambda: new_pods(world, old))
    world.kubelet.warming(new, "hipbmm progress phase=Tuning tuned=7 problems=204 failed=0 elapsed_s=1 eta_s=2\n")
    world.shows(Tuned="Tuning", Available="True", Ready="RollingOut", phase="Updating")
    world.becomes("Ready", "Unknown", "RollingOut")
    assert world.deployment()["spec"]["replicas"] == 2


def test_an_update_without_a_spare_gpu_goes_on_in_place(world: World) -> None:
    settle(world, parallelism={"tensor": 8})
    (old,) = world.scheduled(1)
    world.change({"image": "registry.example/vllm:2"})
    world.becomes("Progressing", "True", "WaitingForSpareGPU")
    strategy = {"maxSurge": 0, "maxUnavailable": 1}

    def in_place() -> bool:
        return bool(world.deployment()["spec"]["strategy"]["rollingUpdate"] == strategy)

    until("the strategy to change", in_place)
    world.becomes("Progressing", "True", "UpdatingInPlace")
    (new,) = until("the new pod on the GPUs", lambda: new_pods(world, [old]))
    world.kubelet.serving(new, report())
    world.becomes("Progressing", "True", "RolloutComplete")
    until("surging again for the next update", lambda: not in_place())


def test_a_right_that_is_taken_away_is_reported_and_missed_only_until_it_is_back(
    world: World, api: Api, rights: Rights
) -> None:
    settle(world)
    without = [rule for rule in rights.rules if rule.get("resources") != ["services"]]
    reading = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}
    rights.take([*without, reading], "patch", "services")
    world.change({"service": {"port": 8080}})
    found = world.becomes("Progressing", "False", "Forbidden")
    assert "patch" in found["message"]
    assert "services" in found["message"]
    world.becomes("Available", "True")
    rights.give_back()
    world.becomes("Progressing", "True", "RolloutComplete")
    assert api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"][0]["port"] == 8080


@pytest.mark.usefixtures("prometheus_operator")
def test_every_field_that_can_be_set_reaches_objects_that_the_api_server_accepts(
    world: World, everything: Json
) -> None:
    world.create(**everything)
    template = world.deployment()["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "inference"
    status = world.shows(ConfigValid="Valid")
    reasons = {entry["type"]: entry["reason"] for entry in status["conditions"]}
    assert reasons["Progressing"] not in ("Rejected", "Forbidden")
    claim = until("the claim", lambda: world.api.find(kinds.CLAIM, world.namespace, "shared-store"))
    assert claim["metadata"]["ownerReferences"][0]["name"] == "qwen"


UNTUNED = report(state="NoPlan", reason="ConfigInvalid", message="config.json: not JSON", problems=0, tuned=0)


@pytest.mark.parametrize("how", ["untuned", "without HIPBMM"])
def test_a_rollout_replaces_no_warm_replica_by_a_worse_one(world: World, how: str) -> None:
    world.create(replicas=2)
    world.serve(1)
    world.serve(2)
    world.becomes("Ready", "True", "AllReplicasWarm")
    old = world.scheduled(2)
    world.change({"image": "registry.example/vllm:worse"})
    (new,) = until("the new pod", lambda: new_pods(world, old))
    if how == "untuned":
        world.kubelet.serving(new, UNTUNED)
    else:
        done = {"payload": ended(0), "warm": ended(0, json.dumps(report())), "harvest": running(ready=True)}
        world.kubelet.containers(new, {**done, "server": crashed(1, "boom", restarts=3)})
        world.kubelet.serving(new, mode="NoHipbmm: the server ended 3 times, also without the table")
    found = world.becomes("Progressing", "False", "HeldUntuned")
    assert new["metadata"]["name"] in found["message"]
    world.becomes("Ready", "False", "ServingPreviousRevision")
    held = time.monotonic() + 2 * SETTLED
    while time.monotonic() < held:
        names = {pod["metadata"]["name"] for pod in world.pods(3)}
        assert names >= {pod["metadata"]["name"] for pod in old}
        time.sleep(0.5)
    world.change({"image": "registry.example/vllm:better"})
    (good,) = until("a pod that works", lambda: new_pods(world, [*old, new]))
    world.kubelet.serving(good, report())
    world.recover(2)
    world.becomes("Ready", "True", "AllReplicasWarm")
    until("the usual pace", lambda: world.deployment()["spec"]["minReadySeconds"] == SETTLED)


def test_what_may_serve_untuned_replaces_warm_replicas(world: World) -> None:
    settle(world)
    (old,) = world.scheduled(1)
    world.change({"image": "registry.example/vllm:2", "rollout": {"untuned": "Replace"}})
    (new,) = until("the new pod", lambda: new_pods(world, [old]))
    world.kubelet.serving(new, UNTUNED)
    world.becomes("Progressing", "True", "RolloutComplete")
    world.becomes("Ready", "True", "ServingUntuned")
