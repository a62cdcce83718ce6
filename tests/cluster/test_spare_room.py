"""Rollouts without spare room end, on a real scheduler: changes and restarts, by what is short."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.kubelet import report
from tests.cluster.test_rollouts import new_pods, settle
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
APART: Json = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {"matchLabels": {"hipbmm.io/deployment": "qwen"}},
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    }
}
SHORT: dict[str, tuple[Json, str]] = {
    "gpu": ({"parallelism": {"tensor": 8}}, "WaitingForSpareGPU"),
    "quota": ({"parallelism": {"tensor": 2}}, "WaitingForRoom"),
    "anti-affinity": ({"podTemplate": {"spec": {"affinity": APART}}}, "WaitingForRoom"),
}


def roll(world: World, how: str) -> None:
    """A new image, or what `kubectl rollout restart` writes."""
    if how == "change":
        world.change({"image": "registry.example/vllm:2"})
        return
    stamp = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    template = {"template": {"metadata": {"annotations": stamp}}}
    world.api.merge(kinds.DEPLOYMENT, world.namespace, "qwen", {"spec": template})


@pytest.mark.parametrize("how", ["change", "restart"])
@pytest.mark.parametrize("what", SHORT)
def test_a_rollout_without_spare_room_ends(world: World, what: str, how: str) -> None:
    spec, waits = SHORT[what]
    if what == "quota":
        hard = {"requests.amd.com/gpu": "2"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": world.namespace}}
        world.api.create(QUOTA, {**quota, "spec": {"hard": hard}})
    settle(world, **spec)
    (old,) = world.scheduled(1)
    roll(world, how)
    world.becomes("Progressing", "True", waits)
    assert (world.condition("Ready")["status"], world.condition("Ready")["reason"]) == ("Unknown", waits)
    world.becomes("Progressing", "True", "UpdatingInPlace", 90)
    (new,) = until("the new pod in the place of the old one", lambda: new_pods(world, [old]), 120)
    world.kubelet.serving(new, report())
    world.becomes("Progressing", "True", "RolloutComplete", 60)
    assert world.becomes("Ready", "True")["reason"] == "AllReplicasWarm"
    assert (world.status()["revision"]["updated"], world.status()["revision"]["serving"]) == (1, 1)
    until("surging again", lambda: world.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1)


def test_a_quota_that_no_old_pod_uses_up_stops_none(world: World) -> None:
    """The change asks for more than the quota: what serves goes on."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": world.namespace}}
    world.api.create(QUOTA, {**quota, "spec": {"hard": {"requests.amd.com/gpu": "2"}}})
    settle(world, parallelism={"tensor": 2})
    world.change({"parallelism": {"tensor": 4}})
    world.becomes("Progressing", "False", "QuotaExceeded")
    assert world.becomes("Ready", "False")["reason"] == "ServingPreviousRevision"
    assert (world.status()["phase"], world.condition("Available")["status"]) == ("Degraded", "True")
    assert world.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
