"""Dynamic resource allocation on a real scheduler: its driver is what it publishes, a DeviceClass and ResourceSlices.

What the kubelet asks of the driver when it starts a pod is not tried here.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import Api, until
from tests.cluster.badday import QUOTA
from tests.cluster.kubelet import report
from tests.cluster.test_rollouts import new_pods
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
DEVICE_CLASS, SLICE = kinds.DEVICE_CLASSES[0], kinds.RESOURCE_SLICES[0]
CLAIM = Kind("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
DRIVER = "gpu.amd.com"
SECONDS = 180.0
"""In which what the driver publishes is known; a resync comes after ten minutes."""


class Driver:
    """A node whose GPUs are published by a driver of its own, and their DeviceClass."""

    def __init__(self, world: World) -> None:
        self.api, self.world = world.api, world
        self.node = f"dra-{world.namespace}"
        self.device_class = f"gpus-{world.namespace}"

    def start(
        self,
        *device_ids: str,
        extended: str | None = None,
        labels: dict[str, str] | None = None,
        modes: tuple[str, ...] = (),
    ) -> None:
        self.world.kubelet.node(self.node, labels=labels or {}, gpus=0)
        rule = {"cel": {"expression": f"device.driver == '{DRIVER}'"}}
        spec: Json = {"selectors": [rule], **({"extendedResourceName": extended} if extended else {})}
        self._create(DEVICE_CLASS, self.device_class, spec)
        self.publish(*device_ids, modes=modes)

    def publish(self, *device_ids: str, modes: tuple[str, ...] = ()) -> None:
        """Devices; with AutoPartition each names the mode that it would be put in."""
        devices: list[Json] = [
            {
                "name": f"gpu-{number}",
                "attributes": {
                    "type": {"string": "amdgpu"},
                    "deviceID": {"string": f"0x{device_id}"},
                    "partitionProfile": {"string": "spx_nps1"},
                    "resource.kubernetes.io/pciBusID": {"string": f"0000:{number:02x}:00.0"},
                },
                "capacity": {"computeUnits": {"value": "256"}},
            }
            for number, device_id in enumerate(device_ids)
        ]
        for device, mode in zip(devices, modes, strict=False):
            device["attributes"] |= {"computePartition": {"string": mode}}
        pool = {"name": self.node, "generation": 1, "resourceSliceCount": 1}
        self._create(SLICE, self.node, {"driver": DRIVER, "nodeName": self.node, "pool": pool, "devices": devices})

    def withdraw(self) -> None:
        self.api.delete(SLICE, "", self.node)

    def _create(self, kind: Kind, name: str, spec: Json) -> None:
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
        self.api.create(kind, body)

    def claimed(self) -> list[list[str]]:
        """The devices of each claim that has some."""
        found = []
        for claim in self.api.items(CLAIM, self.world.namespace):
            allocation = (claim.get("status") or {}).get("allocation")
            if allocation:
                found.append(sorted(result["device"] for result in allocation["devices"]["results"]))
        return found


@pytest.fixture
def driver(world: World, api: Api) -> Iterator[Driver]:
    found = Driver(world)
    yield found
    world.clean()
    for kind, name in ((SLICE, found.node), (DEVICE_CLASS, found.device_class)):
        api.delete(kind, "", name)
    world.kubelet.remove_node(found.node)


def test_what_a_driver_publishes_is_known_within_seconds(world: World, driver: Driver) -> None:
    """A node whose slices come after it: not at the next resync, ten minutes later."""
    world.create(gpu={"products": ["MI355X"]})
    world.becomes("HardwareCompatible", "False", "NoMatchingNodes")
    driver.start("75a3", "75a3", extended="amd.com/gpu", labels={"hipbmm.io/gpu-product": "MI355X"})
    world.becomes("HardwareCompatible", "True", "NodesMatched", SECONDS)
    world.serve(1)
    world.becomes("Ready", "True", "AllReplicasWarm")
    driver.withdraw()
    world.becomes("HardwareCompatible", "False", "NoDriver", SECONDS)


def test_a_device_class_without_the_extended_name_is_said_to_lack_it(world: World, driver: Driver) -> None:
    driver.start("75a3", labels={"hipbmm.io/gpu-product": "MI355X"})
    world.create(gpu={"products": ["MI355X"]})
    found = world.becomes("HardwareCompatible", "False", "ResourceMismatch", SECONDS)
    assert "extendedResourceName: amd.com/gpu" in found["message"]
    spec = {"extendedResourceName": "amd.com/gpu"}
    world.api.merge(DEVICE_CLASS, "", driver.device_class, {"spec": spec})
    world.becomes("HardwareCompatible", "True", "NodesMatched", SECONDS)


def test_gpus_by_claims(world: World, driver: Driver) -> None:
    """Of a node with an older GPU too, that no label names; a change finds no devices beside the old pod."""
    driver.start("740f", "75a3", "75a3")
    world.create(gpu={"deviceClassName": driver.device_class, "products": ["MI355X"]}, parallelism={"tensor": 2})
    (pod,) = world.scheduled(1)
    assert pod["spec"]["nodeName"] == driver.node
    assert driver.claimed() == [["gpu-1", "gpu-2"]]
    containers = {each["name"]: each for each in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]}
    users = {name for name, each in containers.items() if each.get("resources", {}).get("claims")}
    assert users == {"warm", "server"}
    assert not [name for name, each in containers.items() if "amd.com" in str(each.get("resources"))]
    world.kubelet.serving(pod, report())
    world.becomes("HardwareCompatible", "True", "NodesMatched", SECONDS)
    world.becomes("Ready", "True", "AllReplicasWarm")

    world.change({"image": "registry.example/vllm:2"})
    world.becomes("Progressing", "True", "WaitingForSpareGPU")
    (new,) = until("the new pod on the devices", lambda: new_pods(world, [pod]))
    world.kubelet.serving(new, report())
    world.becomes("Progressing", "True", "RolloutComplete")

    world.change({"parallelism": {"tensor": 1}})
    (one,) = until("a pod with one GPU", lambda: new_pods(world, [pod, new]))
    world.kubelet.serving(one, report())
    world.becomes("Ready", "True", "AllReplicasWarm")
    until("one device", lambda: [len(devices) for devices in driver.claimed()] == [1])


def test_a_claim_of_the_class_of_all_devices_gets_no_part_of_a_gpu(world: World, driver: Driver) -> None:
    driver.device_class = DRIVER
    driver.start("75a3", "75a3", "75a3", modes=("cpx", "spx"))
    world.create(gpu={"deviceClassName": DRIVER}, parallelism={"tensor": 2})
    world.scheduled(1)
    assert driver.claimed() == [["gpu-1", "gpu-2"]], "whole by its mode, and one that is never partitioned"


@pytest.mark.long
def test_a_quota_on_devices_without_a_spare_one(world: World, driver: Driver) -> None:
    """Kubernetes makes the pod and not its claim, and only an Event says so."""
    driver.start("75a3", "75a3")
    hard = {"hard": {f"{driver.device_class}.deviceclass.resource.k8s.io/devices": "1"}}
    metadata = {"name": "devices", "namespace": world.namespace}
    world.api.create(QUOTA, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": hard})
    until("the quota", lambda: "hard" in world.api.get(QUOTA, world.namespace, "devices").get("status", {}))
    world.create(gpu={"deviceClassName": driver.device_class})
    world.serve(1)
    world.becomes("Ready", "True", "AllReplicasWarm")
    (old,) = world.scheduled(1)
    world.change({"image": "registry.example/vllm:2"})
    assert "exceeded quota: devices" in world.becomes("Progressing", "True", "WaitingForRoom")["message"]
    (new,) = until("the new pod on the device", lambda: new_pods(world, [old]))
    world.kubelet.serving(new, report())
    world.becomes("Progressing", "True", "RolloutComplete")


def test_too_many_devices_are_said_to_be_too_many(world: World, driver: Driver) -> None:
    driver.start("75a3")
    world.create(gpu={"deviceClassName": driver.device_class}, parallelism={"tensor": 2})
    found = world.becomes("HardwareCompatible", "False", "NotEnoughGPUs", SECONDS)
    assert driver.node in found["message"]
    world.becomes("Progressing", "False", "InsufficientGPU")


def test_a_claim_template_that_somebody_deletes_comes_back_and_all_go_with_the_resource(
    world: World, driver: Driver
) -> None:
    driver.start("75a3")
    world.create(gpu={"deviceClassName": driver.device_class})
    world.serve(1)
    world.becomes("Ready", "True")
    template = kinds.RESOURCE_CLAIM_TEMPLATE
    (made,) = world.api.items(template, world.namespace)
    world.api.delete(template, world.namespace, made["metadata"]["name"])
    world.change({"replicas": 0})
    until("it is made again", lambda: len(world.api.items(template, world.namespace)) == 1)
    world.api.delete(kinds.HIPBMM_DEPLOYMENT, world.namespace, world.name)
    until("it goes", lambda: not world.api.items(template, world.namespace))
