"""Each trouble shows its own reason within 60 s (most in seconds), and heals when its cause goes."""

from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.kubelet import crashed, ended, report, running, waiting
from tests.cluster.world import World

from hipbmm_operator import kinds
from hipbmm_operator.kinds import Kind

Json = dict[str, Any]
SECRET = Kind("", "v1", "secrets", "Secret")
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")


def failure(world: World) -> Json:
    """The first failure in the status."""
    return dict(world.until("a failure", lambda status: bool(status.get("failures")))["failures"][0])


def heals(world: World, count: int = 1) -> None:
    """The pods work after all."""
    world.serve(count)
    world.becomes("Ready", "True")
    assert world.status()["failures"] == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("rpc error: code = NotFound desc = failed to pull: manifest unknown: not found", "ImageNotFound"),
        ("failed to authorize: 401 Unauthorized", "ImagePullUnauthorized"),
        ("dial tcp: lookup registry.example: no such host", "ImagePullFailed"),
    ],
)
def test_image_that_cannot_be_pulled(world: World, message: str, reason: str) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.containers(pod, {"payload": ended(0), "warm": waiting("ErrImagePull", message)}, phase="Pending")
    world.becomes("Progressing", "False", reason)
    back_off = waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/vllm:1"')
    world.kubelet.containers(pod, {"payload": ended(0), "warm": back_off}, phase="Pending")
    found = failure(world)
    assert (found["container"], found["reason"]) == ("warm", reason)
    assert message in found["message"]
    assert world.condition("Ready")["reason"] == reason
    heals(world)


def test_no_node_has_the_gpu(world: World) -> None:
    world.create(gpu={"products": ["MI355X"]})
    hardware = world.becomes("HardwareCompatible", "False", "NoMatchingNodes")
    assert "MI355X" in hardware["message"]
    world.becomes("Progressing", "False", "NoMatchingNodes")
    assert world.status()["phase"] == "Pending"
    world.change({"gpu": {"products": ["MI300X"]}})
    world.becomes("HardwareCompatible", "True", "NodesMatched")
    heals(world)


def test_a_node_with_the_gpu_arrives(world: World) -> None:
    world.create(gpu={"products": ["MI355X"]})
    world.becomes("HardwareCompatible", "False", "NoMatchingNodes")
    template = world.deployment()["spec"]["template"]
    name = f"mi355x-{world.namespace}"
    world.kubelet.node(name, labels={"amd.com/gpu.device-id": "75a3", "amd.com/gpu.cu-count": "256"})
    try:
        world.becomes("HardwareCompatible", "True", "NodesMatched")
        heals(world)
        assert world.deployment()["spec"]["template"] == template
        assert world.status()["hardware"]["product"] == "MI355X"
    finally:
        world.clean()
        world.kubelet.remove_node(name)


def test_all_gpus_are_taken(world: World) -> None:
    world.create(replicas=1, parallelism={"tensor": 16})
    world.becomes("Progressing", "False", "InsufficientGPU")
    assert "amd.com/gpu" in failure(world)["message"]
    world.change({"parallelism": {"tensor": 1}})
    heals(world)


def test_a_claim_without_its_storage_class(world: World) -> None:
    world.create(cache={"pvc": {"storageClassName": "missing"}})
    storage = world.becomes("StorageReady", "False", "StorageClassNotFound", 60)
    assert "missing" in storage["message"]
    world.change({"cache": {"pvc": {"storageClassName": "localkube"}}})
    world.becomes("StorageReady", "True", "Bound", 60)
    claim = world.api.get(kinds.CLAIM, world.namespace, "qwen-store")
    assert claim["spec"]["storageClassName"] == "localkube"


def test_a_named_claim_that_is_not_there(world: World) -> None:
    world.create(cache={"pvc": {"claimName": "shared", "create": False}})
    world.becomes("StorageReady", "False", "ClaimNotFound")
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "shared", "namespace": world.namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    before = world.api.create(kinds.CLAIM, claim)["metadata"]
    world.becomes("StorageReady", "True", "Bound", 60)
    after = world.api.get(kinds.CLAIM, world.namespace, "shared")["metadata"]
    assert after.get("labels") == before.get("labels")
    assert "ownerReferences" not in after


def test_replicas_on_a_volume_for_one_node(world: World) -> None:
    world.create(replicas=4, cache={"mirror": "Never", "pvc": {"accessModes": ["ReadWriteOnce"]}})
    world.becomes("StorageReady", "False", "AccessModeUnsupported")
    world.change({"replicas": 1})
    world.becomes("StorageReady", "True", "Bound")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OSError: [Errno 28] No space left on device", "NoSpaceLeft"),
        ("[Errno 30] Read-only file system", "StoreReadOnly"),
    ],
)
def test_a_volume_that_cannot_be_written(world: World, error: str, reason: str) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.serving(pod, report(storage={"writable": False, "error": error}))
    assert error in world.becomes("StorageReady", "False", reason)["message"]
    world.becomes("Ready", "True")
    world.kubelet.serving(pod)
    world.becomes("StorageReady", "True", "Bound")


def test_a_model_without_config(world: World) -> None:
    world.create()
    message = "no config.json for Qwen/Qwen3-32B-FP8-dynamic"
    answer = report(state="NoPlan", reason="ConfigMissing", message=message, problems=0, tuned=0, rows=0, source="None")
    world.serve(1, answer)
    assert message in world.becomes("ConfigValid", "False", "ConfigMissing")["message"]
    assert world.condition("Tuned")["reason"] == "ConfigMissing"
    assert world.becomes("Ready", "True")["reason"] == "ServingUntuned"
    world.change({"model": {"configMapRef": {"name": "qwen-config"}}})
    until("a new template", lambda: "qwen-config" in str(world.deployment()["spec"]["template"]))


def test_a_contract_variable_set_by_the_user(world: World) -> None:
    world.create(server={"env": [{"name": "HIP_ONLINE_TUNING", "value": "0"}]})
    found = world.becomes("ConfigValid", "False", "ConflictingEnv")
    assert "HIP_ONLINE_TUNING=0" in found["message"]
    env = world.deployment()["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["value"] for entry in env if entry["name"] == "HIP_ONLINE_TUNING"] == ["0"]
    world.serve(1, report(state="Disabled", reason="ConflictingEnv", hipbmm=False, tuned=0, rows=0))
    assert world.becomes("Tuned", "False")["reason"] == "ConflictingEnv"
    assert world.becomes("Ready", "True")["reason"] == "ServingUntuned"
    world.change({"server": {"env": []}})
    world.becomes("ConfigValid", "True", "Valid")


def test_arguments_against_fields(world: World) -> None:
    world.create(server={"args": ["--tensor-parallel-size=4"]})
    found = world.becomes("ConfigValid", "False", "ConflictingArgs")
    assert "--tensor-parallel-size 4" in found["message"]
    assert world.api.find(kinds.DEPLOYMENT, world.namespace, "qwen") is None
    world.change({"parallelism": {"tensor": 4}})
    world.becomes("ConfigValid", "True")
    assert world.deployment()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "4"


def test_a_secret_that_is_not_there(world: World) -> None:
    world.create(model={"name": "x", "tokenSecretRef": {"name": "hf"}})
    (pod,) = world.scheduled(1)
    stuck = waiting("CreateContainerConfigError", 'secret "hf" not found')
    world.kubelet.containers(pod, {"payload": ended(0), "warm": stuck}, phase="Pending")
    assert '"hf"' in world.becomes("Progressing", "False", "SecretNotFound")["message"]
    heals(world)


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
    assert failure(world)["container"] == "warm"
    assert reason in world.status()["tuning"]["lastError"]
    heals(world)
    assert "lastError" not in world.status()["tuning"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("Partial", "BudgetExhausted"),
        ("Partial", "LowMemory"),
        ("Unsupported", "NoSolution"),
        ("Failed", "StackMismatch"),
        ("NoPlan", "UnknownArchitecture"),
    ],
)
def test_a_table_that_is_not_complete_is_served_and_shown(world: World, state: str, reason: str) -> None:
    world.create(replicas=2)
    answer = report(state=state, reason=reason, message=f"because of {reason}", tuned=100)
    world.serve(1, answer)
    world.serve(2, answer)
    assert world.becomes("Ready", "True")["reason"] == "ServingUntuned"
    tuned = world.condition("Tuned")
    assert (tuned["status"], tuned["reason"], tuned["message"]) == ("False", reason, f"because of {reason}")
    assert world.condition("Warm")["status"] == "False"
    assert (world.status()["warmReplicas"], world.status()["tuning"]["state"]) == (0, state)


def test_policy_block_keeps_an_incomplete_table_from_serving(world: World) -> None:
    world.create(replicas=2, tuning={"policy": "Block"})
    (pod,) = world.scheduled(1)
    answer = '{"v": 1, "state": "Partial", "reason": "BudgetExhausted", "problems": 204, "tuned": 100}'
    states = {"payload": ended(0), "warm": crashed(1, answer)}
    world.kubelet.containers(pod, states, phase="Pending")
    world.becomes("Tuned", "False", "BudgetExhausted")
    world.becomes("Ready", "False", "BudgetExhausted")
    assert len(world.pods(1)) == 1
    world.kubelet.warmed(pod)
    heals(world, 2)


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
    (pod,) = world.scheduled(1)
    warm = ended(0, '{"v": 1, "state": "Complete", "reason": "Restored", "source": "Restored"}')
    world.kubelet.containers(pod, {"payload": ended(0), "warm": warm, "harvest": running(), "server": state})
    world.becomes("Available", "False", reason)
    assert world.condition("Ready")["reason"] == reason
    found = failure(world)
    assert (found["container"], found["reason"]) == ("server", reason)
    heals(world)


def test_a_quota_that_is_exceeded(world: World) -> None:
    metadata = {"name": "none", "namespace": world.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}
    world.api.create(QUOTA, quota)
    until("the quota", lambda: world.api.get(QUOTA, world.namespace, "none").get("status"))
    world.create()
    assert "none" in world.becomes("Progressing", "False", "QuotaExceeded")["message"]
    world.api.delete(QUOTA, world.namespace, "none")
    world.change({"podTemplate": {"metadata": {"annotations": {"again": "1"}}}})
    heals(world)


def test_a_namespace_that_refuses_the_pods(world: World) -> None:
    namespace = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
    label = "pod-security.kubernetes.io/enforce"
    world.api.merge(namespace, "", world.namespace, {"metadata": {"labels": {label: "restricted"}}})
    world.create()
    assert "restricted" in world.becomes("Progressing", "False", "PodSecurityRejected")["message"]
    world.api.merge(namespace, "", world.namespace, {"metadata": {"labels": {label: None}}})
    world.change({"podTemplate": {"metadata": {"annotations": {"again": "1"}}}})
    heals(world)


def test_a_foreign_object_of_the_same_name(world: World) -> None:
    metadata = {"name": "qwen", "namespace": world.namespace, "labels": {"app": "other"}}
    foreign = {"selector": {"app": "other"}, "ports": [{"name": "x", "port": 1234}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": foreign}
    before = world.api.create(kinds.SERVICE, body)
    world.create()
    found = world.becomes("Progressing", "False", "NameConflict")
    assert "Service qwen" in found["message"]
    assert (
        world.api.get(kinds.SERVICE, world.namespace, "qwen")["metadata"]["resourceVersion"]
        == before["metadata"]["resourceVersion"]
    )
    world.api.delete(kinds.SERVICE, world.namespace, "qwen")
    heals(world)
    assert world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"][0]["port"] == 80
