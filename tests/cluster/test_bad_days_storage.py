"""Volumes: each fault shows its own reason, and heals when its cause goes."""

from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.badday import failure, heals
from tests.cluster.kubelet import report
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
_VOLUME = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)


def on_class(name: str) -> Json:
    return {"pvc": {"storageClassName": name}}


def test_a_claim_without_its_storage_class(world: World) -> None:
    world.create(cache=on_class("missing"))
    storage = world.becomes("StorageReady", "False", "StorageClassNotFound")
    assert "missing" in storage["message"]
    world.becomes("Ready", "False")
    world.change({"cache": on_class("localkube")})
    world.becomes("StorageReady", "True", "Bound")
    claim = world.api.get(kinds.CLAIM, world.namespace, "qwen-store")
    assert claim["spec"]["storageClassName"] == "localkube"
    heals(world)


def test_a_claim_that_nobody_provides_a_volume_for(world: World) -> None:
    name = f"class-{world.namespace}"
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    world.api.create(kinds.STORAGE_CLASS, body | {"provisioner": "nobody.example/volumes"})
    try:
        world.create(cache=on_class(name))
        world.becomes("StorageReady", "Unknown", "ClaimPending")
        world.becomes("StorageReady", "False", "ClaimPending")
        world.becomes("Progressing", "False", "StorageNotReady")
        until("who should", lambda: "nobody.example" in world.condition("StorageReady")["message"])
        world.shows(StorageReady="ClaimPending", phase="Pending")
        world.change({"cache": on_class("localkube")})
        world.becomes("StorageReady", "True", "Bound")
        heals(world)
    finally:
        world.api.delete(kinds.STORAGE_CLASS, "", name)


def test_a_volume_on_a_node_without_room(world: World) -> None:
    """GPUs are free where the volume is not: what is to be mended is the room beside the volume."""
    labels = {"amd.com/gpu.device-id": "74a5", "amd.com/gpu.cu-count": "304"}
    names = [f"{place}-{world.namespace}" for place in ("full", "free")]
    for name, gpus in zip(names, (1, 8), strict=True):
        world.kubelet.node(name, labels=labels, gpus=gpus)
    nodes = kinds.NODE
    until("the nodes", lambda: not any(world.api.get(nodes, "", name)["spec"].get("taints") for name in names))
    place = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": names[:1]}]}
    size = {"storage": "1Gi"}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    metadata = {"name": f"weights-{world.namespace}"}
    volume = {
        "capacity": size,
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [place]}},
    }
    world.api.create(_VOLUME, _VOLUME.body(metadata, spec=spec | volume))
    claim = {**spec, "resources": {"requests": size}, "volumeName": metadata["name"]}
    world.api.create(kinds.CLAIM, kinds.CLAIM.body({"name": "weights", "namespace": world.namespace}, spec=claim))
    try:
        model = {"name": "/models/m", "volume": {"claimName": "weights"}}
        world.create(gpu={"products": ["MI325X"]}, parallelism={"tensor": 2}, model=model)
        failure(world, reason="InsufficientGPU")
        also = " (also StorageNotReady)"
        world.until("both causes", lambda status: status["failures"][0]["message"].endswith(also))
        world.becomes("Progressing", "False", "InsufficientGPU")
        world.kubelet.heartbeat(names[0], gpus=8)
        (pod,) = world.scheduled(1)
        assert pod["spec"]["nodeName"] == names[0]
        heals(world)
    finally:
        world.clean()
        world.api.delete(_VOLUME, "", metadata["name"])
        for name in names:
            world.kubelet.remove_node(name)


def test_a_named_claim_that_is_not_there(world: World) -> None:
    world.create(cache={"pvc": {"claimName": "shared", "create": False}})
    world.becomes("StorageReady", "False", "ClaimNotFound")
    world.becomes("Progressing", "False", "StorageNotReady")
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "shared", "namespace": world.namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    before = world.api.create(kinds.CLAIM, claim)["metadata"]
    world.becomes("StorageReady", "True", "Bound")
    after = world.api.get(kinds.CLAIM, world.namespace, "shared")["metadata"]
    assert after.get("labels") == before.get("labels")
    assert "ownerReferences" not in after
    heals(world)


def test_replicas_on_a_volume_for_one_node(world: World) -> None:
    world.create(replicas=4, cache={"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}})
    storage = world.becomes("StorageReady", "False", "AccessModeUnsupported")
    assert "4 replicas" in storage["message"]
    assert "ReadWriteOnce" in storage["message"]
    world.change({"replicas": 1})
    world.becomes("StorageReady", "True", "Bound")
    heals(world)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OSError: [Errno 28] No space left on device", "NoSpaceLeft"),
        ("[Errno 122] Disk quota exceeded", "NoSpaceLeft"),
        ("[Errno 30] Read-only file system", "StoreReadOnly"),
        ("[Errno 13] Permission denied", "StoreNotWritable"),
    ],
)
def test_a_volume_that_cannot_be_written(world: World, error: str, reason: str) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.serving(pod, report(storage={"writable": False, "error": error}))
    assert error in world.becomes("StorageReady", "False", reason)["message"]
    world.becomes("Ready", "True", "AllReplicasWarm")
    name = pod["metadata"]["name"]
    world.api.delete(kinds.POD, world.namespace, name)
    until("the pod to go", lambda: world.api.find(kinds.POD, world.namespace, name) is None)
    heals(world)
    world.becomes("StorageReady", "True", "Bound")
