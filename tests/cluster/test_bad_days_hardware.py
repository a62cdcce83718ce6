"""Nodes that do not fit: each fault shows its own reason, and heals when its cause goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.badday import failure, heals
from tests.cluster.kubelet import STACK, pods, report
from tests.cluster.world import WAIT, World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

MI325X = {"amd.com/gpu.device-id": "74a5", "amd.com/gpu.cu-count": "304"}
MI355X = {"amd.com/gpu.device-id": "75a3", "amd.com/gpu.cu-count": "256"}
ON_MI325X = {"products": ["MI325X"]}


class Nodes:
    """Nodes of one test."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names: list[str] = []

    def add(self, labels: dict[str, str], gpus: int = 8, **taken: str) -> str:
        name = f"node-{len(self.names)}-{self.world.namespace}"
        self.world.kubelet.node(name, labels=labels | taken, gpus=gpus)
        self.names.append(name)
        return name

    def change(self, name: str, patch: Json) -> None:
        self.world.api.merge(kinds.NODE, "", name, patch)


@pytest.fixture
def nodes(world: World) -> Iterator[Nodes]:
    """Nodes that go with the test."""
    found = Nodes(world)
    yield found
    world.clean()
    for name in found.names:
        world.kubelet.remove_node(name)


def complete(world: World) -> int | None:
    """How many pods there are, when there are as many as the operator has asked for."""
    count = len(list(pods(world.api, world.namespace)))
    return count if world.deployment()["spec"]["replicas"] == count else None


def test_no_node_has_the_gpu(world: World) -> None:
    world.create(gpu={"products": ["MI355X"]})
    hardware = world.becomes("HardwareCompatible", "False", "NoMatchingNodes")
    assert "MI355X" in hardware["message"]
    world.shows(Progressing="NoMatchingNodes", phase="Pending")
    world.change({"gpu": {"products": ["MI300X"]}})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_a_node_with_the_gpu_arrives(world: World, nodes: Nodes) -> None:
    world.create(gpu={"products": ["MI355X"]})
    world.becomes("HardwareCompatible", "False", "NoMatchingNodes")
    template = world.deployment()["spec"]["template"]
    nodes.add(MI355X)
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)
    assert world.deployment()["spec"]["template"] == template
    world.until("the product", lambda status: status["hardware"]["product"] == "MI355X")


def test_the_gpu_is_there_and_no_driver_offers_it(world: World, nodes: Nodes) -> None:
    name = nodes.add(MI325X, gpus=0)
    world.create(gpu=ON_MI325X)
    hardware = world.becomes("HardwareCompatible", "False", "NoDriver")
    assert name in hardware["message"]
    world.until("it to be counted", lambda s: {"reason": "NoDriver", "nodes": 1} in s["hardware"]["reasons"])
    world.becomes("Progressing", "False", "InsufficientGPU")
    world.kubelet.heartbeat(name, 8)
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_labels_that_contradict_each_other(world: World, nodes: Nodes) -> None:
    other = "feature.node.kubernetes.io/pci-1200_1002_75a3.present"
    name = nodes.add(MI325X | {other: "true"})
    world.create(gpu=ON_MI325X)
    hardware = world.becomes("HardwareCompatible", "False", "Conflict")
    assert name in hardware["message"]
    nodes.change(name, {"metadata": {"labels": {other: None}}})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_two_products_in_one_node(world: World, nodes: Nodes) -> None:
    both = {"amd.com/gpu.device-id.74a5": "4", "amd.com/gpu.device-id.74a1": "4"}
    name = nodes.add(both)
    world.create(gpu=ON_MI325X)
    assert name in world.becomes("HardwareCompatible", "False", "Mixed")["message"]
    nodes.change(name, {"metadata": {"labels": {**dict.fromkeys(both), **MI325X}}})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_a_pool_of_two_architectures(world: World, nodes: Nodes) -> None:
    kind = {nodes.add(MI325X, gpus=3): "MI325X", nodes.add(MI355X, gpus=2): "MI355X"}
    world.create(replicas=5, gpu={"products": ["MI325X", "MI355X"]})
    hardware = world.becomes("HardwareCompatible", "True", "MixedArchitectures")
    assert "gfx942" in hardware["message"]
    assert "gfx950" in hardware["message"]
    answers = {
        product: report(key=key, stack=STACK | {"product": product}, problems=problems, tuned=problems, geomean=gain)
        for product, key, problems, gain in (("MI325X", "a" * 16, 204, "1.11"), ("MI355X", "b" * 16, 100, "1.30"))
    }
    tuned: list[str] = []
    served: dict[str, str] = {}

    def unknown(pod: Json) -> bool:
        """Whether nobody can say that it is of a kind that has tuned."""
        return kind.get(pod["spec"].get("nodeName", "")) not in tuned

    def first_of_each_kind() -> bool:
        """Serve what has a node, but the first of a kind only when the operator has looked and started no other."""
        found = [pod for pod in pods(world.api, world.namespace) if pod["spec"].get("nodeName")]
        for pod in found:
            name, product = pod["metadata"]["name"], kind[pod["spec"]["nodeName"]]
            if name not in served and product not in tuned:
                before = until("the pods that are asked for", lambda: complete(world))
                touched = {"annotations": {"example.com/touched": f"{product} tunes"}}
                world.observed({"service": touched})
                assert world.deployment()["spec"]["replicas"] == before, "others start while it tunes"
                others = [each["metadata"]["name"] for each in pods(world.api, world.namespace) if unknown(each)]
                assert others == [name], "others wait for a node of a kind that has not tuned"
                tuned.append(product)
            if name not in served:
                served[name] = product
                world.kubelet.serving(pod, answers[product])
        return len(served) == 5

    until("five replicas", first_of_each_kind, WAIT)
    status = world.shows(Ready="AllReplicasWarm", Tuned="True", warm="5/5")
    shown = {
        stack["product"]: [stack[part] for part in ("replicas", "tuned", "warm", "speedup")]
        for stack in status["stacks"]
    }
    assert shown == {"MI325X": [3, 204, 3, "1.11"], "MI355X": [2, 100, 2, "1.30"]}
    assert status["tuning"]["progress"] == "304/304"
    world.change({"replicas": 1, "gpu": ON_MI325X})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_all_gpus_are_taken(world: World, nodes: Nodes) -> None:
    nodes.add(MI325X, gpus=1)
    first = World(world.api, world.kubelet, world.namespace, "first")
    first.create(gpu=ON_MI325X)
    (holder,) = world.scheduled(1)
    world.create(gpu=ON_MI325X)
    found = world.becomes("Progressing", "False", "InsufficientGPU")
    assert "amd.com/gpu" in found["message"]
    assert "container" not in failure(world, reason="InsufficientGPU")
    world.shows(Ready="InsufficientGPU")
    world.api.delete(kinds.HIPBMM_DEPLOYMENT, world.namespace, "first")
    until("the holder to go", lambda: world.api.find(kinds.POD, world.namespace, holder["metadata"]["name"]) is None)
    heals(world)


@pytest.mark.parametrize(
    ("change", "hardware", "scheduling"),
    [
        ({"unschedulable": True}, "NodeCordoned", "NodesCordoned"),
        ({"taints": [{"key": "amd-dcm", "value": "up", "effect": "NoSchedule"}]}, "NodeTainted", "UntoleratedTaint"),
    ],
)
def test_the_node_takes_no_pods_now(world: World, nodes: Nodes, change: Json, hardware: str, scheduling: str) -> None:
    name = nodes.add(MI325X)
    nodes.change(name, {"spec": change})
    world.create(gpu=ON_MI325X)
    assert name in world.becomes("HardwareCompatible", "False", hardware)["message"]
    world.becomes("Progressing", "False", scheduling)
    nodes.change(name, {"spec": dict.fromkeys(change)})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)
