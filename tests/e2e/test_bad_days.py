"""What goes wrong on a real node shows its own reason within 60 s, and heals when the cause goes."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.rollout import workspace

from demo import checks, install, view, wait
from demo.cluster import Cluster
from demo.kubectl import Kubectl

pytestmark = pytest.mark.timeout(600)

Json = dict[str, Any]
SHOWN_WITHIN = 60
HEALED_WITHIN = 240

SMALL_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 1000,
    "torch_dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "format": "float-quantized",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "dynamic": False, "symmetric": True},
                "input_activations": {
                    "num_bits": 8,
                    "type": "float",
                    "strategy": "token",
                    "dynamic": True,
                    "symmetric": True,
                },
            }
        },
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """A healthy small resource, what breaks it, what mends it, and where it must show."""

    name: str
    kind: str
    reason: str
    broken: Callable[[Json, Cluster], None]
    mend: Callable[[Kubectl, Json], None]


def healthy(cluster: Cluster, name: str) -> Json:
    return {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmDeployment",
        "metadata": {"name": name},
        "spec": {
            "image": cluster.serving_image,
            "imagePullPolicy": "IfNotPresent",
            "model": {"name": "tests/small", "configMapRef": {"name": "small-config"}},
            "server": {"args": ["--max-num-seqs", "4"], "startupSeconds": 120, "gracePeriodSeconds": 2},
            "tuning": {"tokens": [1, 2, 4], "budgetSeconds": 120},
            "gpu": {"products": ["MI300X"]},
            "cache": {"pvc": {"retain": False}},
        },
    }


def apply_healthy(kubectl: Kubectl, resource: Json) -> None:
    kubectl.apply(resource)


def set_field(*path: str, value: object) -> Callable[[Json, Cluster], None]:
    def change(resource: Json, _: Cluster) -> None:
        target = resource["spec"]
        for key in path[:-1]:
            target = target.setdefault(key, {})
        target[path[-1]] = value

    return change


def make_class(kubectl: Kubectl, _: Json) -> None:
    """The storage class that the claim waits for, served by the cluster's own provisioner."""
    own = next(c for c in kubectl.items("storageclasses") if "missing" not in c["metadata"]["name"])
    kubectl.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "missing-class"},
            "provisioner": own["provisioner"],
            "volumeBindingMode": own["volumeBindingMode"],
        }
    )


CASES = [
    Case(
        "image",
        "Available",
        "ImageNotFound",
        set_field("image", value="localhost/hipbmm/no-such-image:1"),
        apply_healthy,
    ),
    Case("gpu", "HardwareCompatible", "NoMatchingNodes", set_field("gpu", "products", value=["MI355X"]), apply_healthy),
    Case(
        "claim",
        "StorageReady",
        "StorageClassNotFound",
        set_field("cache", "pvc", value={"retain": False, "storageClassName": "missing-class"}),
        make_class,
    ),
    Case("config", "Tuned", "ConfigMissing", set_field("model", value={"name": "tests/small"}), apply_healthy),
    Case(
        "env",
        "ConfigValid",
        "ConflictingEnv",
        set_field("server", "env", value=[{"name": "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM", "value": "0"}]),
        apply_healthy,
    ),
]


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    with workspace(cluster, "e2e-bad-days") as found:
        config = {"config.json": json.dumps(SMALL_CONFIG)}
        found.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "small-config"}, "data": config},
        )
        yield found
        found.run("delete", "storageclass", "missing-class", "--ignore-not-found")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_trouble_shows_its_reason_and_heals(cluster: Cluster, kubectl: Kubectl, case: Case) -> None:
    good = healthy(cluster, f"bad-{case.name}")
    bad = copy.deepcopy(good)
    case.broken(bad, cluster)
    kubectl.apply(bad)

    def shown() -> bool | None:
        condition = view.condition(kubectl.get("hipbmmdeployment", bad["metadata"]["name"]), case.kind)
        return True if condition.get("reason") == case.reason and condition.get("status") == "False" else None

    try:
        wait.until(f"{case.kind}=False, reason {case.reason}", shown, SHOWN_WITHIN)
        assert "running" in operator_states(kubectl)
        case.mend(kubectl, good)
        view.watch(kubectl, bad["metadata"]["name"], checks.settled, HEALED_WITHIN)
    finally:
        kubectl.run("delete", "hipbmmdeployment", bad["metadata"]["name"], timeout=120)


def operator_states(kubectl: Kubectl) -> set[str]:
    pods = kubectl.within(install.SYSTEM).items("pods", "-l", "app.kubernetes.io/name=hipbmm-operator")
    return {state for pod in pods for status in pod["status"]["containerStatuses"] for state in status["state"]}


def test_a_killed_operator_changes_nothing(cluster: Cluster, kubectl: Kubectl) -> None:
    """kill -9 while the first rollout is held: the same end as without."""
    resource = healthy(cluster, "bad-kill")
    resource["spec"]["replicas"] = 2
    kubectl.apply(resource)
    try:
        for _ in range(3):
            kill_operator(kubectl)
        view.watch(kubectl, "bad-kill", checks.settled, HEALED_WITHIN)
        assert len(checks.tuners(kubectl, "bad-kill")) == 1
    finally:
        kubectl.run("delete", "hipbmmdeployment", "bad-kill", timeout=120)


def kill_operator(kubectl: Kubectl) -> None:
    """Delete the operator's pod without grace and wait for the next one to be ready."""
    system = kubectl.within(install.SYSTEM)
    system.run("delete", "pod", "-l", "app.kubernetes.io/name=hipbmm-operator", "--grace-period=0", "--force")
    system.run("rollout", "status", "deployment/hipbmm-operator", "--timeout=120s", timeout=130)
