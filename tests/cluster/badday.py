"""What the tests of bad days share."""

from typing import Any

from tests.cluster.world import World

from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]

CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
POLICY = Kind(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
BINDING = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
LIMIT_RANGE = Kind("", "v1", "limitranges", "LimitRange")
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
SECRET = Kind("", "v1", "secrets", "Secret")


def failure(world: World, **parts: object) -> Json:
    """The first failure in the status, once it has these parts."""

    def shown(status: Json) -> bool:
        return bool(parts.items() <= status["failures"][0].items())

    return dict(world.until(f"a failure with {parts}", shown)["failures"][0])


def heals(world: World, count: int = 1) -> None:
    """The pods work after all, and nothing of the fault is left in the status."""
    world.recover(count)
    world.becomes("Ready", "True", "AllReplicasWarm")
    world.becomes("Progressing", "True", "RolloutComplete")
    world.until("no failures", lambda status: not status["failures"])
    for kind in ("ConfigValid", "HardwareCompatible", "StorageReady", "Tuned", "Warm", "Available"):
        world.becomes(kind, "True")
    world.until("no last error", lambda status: "lastError" not in status["tuning"])
