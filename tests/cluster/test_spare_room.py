"""Rollouts without spare room end, on a real scheduler: changes and restarts, by what is short."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.badday import QUOTA
from tests.cluster.kubelet import report
from tests.cluster.test_rollouts import new_pods, settle
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import NODE, POD, Kind

Json = dict[str, Any]
ADMISSION = ("admissionregistration.k8s.io", "v1")
POLICY = Kind(*ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False)
BINDING = Kind(*ADMISSION, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False)
GATE = "kueue.x-k8s.io/admission"
MI325X = {"amd.com/gpu.device-id": "74a5", "amd.com/gpu.cu-count": "304"}
HOST = "kubernetes.io/hostname"
MINE = {"labelSelector": {"matchLabels": {"hipbmm.io/deployment": "qwen"}}, "topologyKey": HOST}
APART: Json = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [MINE]}}
SPREAD: Json = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule"}


def pod_spec(**spec: object) -> Json:
    return {"podTemplate": {"spec": spec}}


def asks(**amounts: str) -> Json:
    """A server that wants so much; `hugepages_2Mi` is written with a hyphen."""
    wanted = {name.replace("_", "-"): amount for name, amount in amounts.items()}
    return pod_spec(containers=[{"name": "server", "resources": {"requests": wanted, "limits": wanted}}])


@contextmanager
def quota(world: World) -> Iterator[None]:
    """As many GPUs as one replica holds."""
    metadata = {"name": "gpus", "namespace": world.namespace}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    world.api.create(QUOTA, {**body, "spec": {"hard": {"requests.amd.com/gpu": "1"}}})
    yield


@contextmanager
def defaults(world: World) -> Iterator[None]:
    """Most of what one replica is counted with is the default of a LimitRange; no template says so."""
    for kind, spec in (
        (kinds.LIMIT_RANGE, {"limits": [{"type": "Container", "default": {"cpu": "4"}}]}),
        (QUOTA, {"hard": {"limits.cpu": "6"}}),
    ):
        metadata = {"name": "defaults", "namespace": world.namespace}
        world.api.create(kind, {"apiVersion": "v1", "kind": kind.kind, "metadata": metadata, "spec": spec})
    yield


@contextmanager
def queue(world: World) -> Iterator[None]:
    """What Kueue does: each pod gets a gate, and loses it while the queue has room, which is for one pod."""
    gates = f'[Object.spec.schedulingGates{{name: "{GATE}"}}]'
    expression = f"Object{{spec: Object.spec{{schedulingGates: {gates}}}}}"
    rules = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [rules]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    label = {"kubernetes.io/metadata.name": world.namespace}
    binding = {"policyName": world.namespace, "matchResources": {"namespaceSelector": {"matchLabels": label}}}
    for kind, spec in ((POLICY, policy), (BINDING, binding)):
        metadata = {"name": world.namespace}
        world.api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec})
    until("the queue to gate pods", lambda: gated(world.api, world.namespace))
    stop = threading.Event()
    thread = threading.Thread(target=admit, args=(world, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        for kind in (BINDING, POLICY):
            world.api.delete(kind, "", world.namespace)


def gated(api: Api, namespace: str) -> bool:
    """Whether a new pod gets a gate: a policy is in force some time after it was made."""
    body: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace}}
    spec = {"containers": [{"name": "c", "image": "x"}]}
    answer = api.request("POST", f"/api/v1/namespaces/{namespace}/pods", {**body, "spec": spec}, {"dryRun": "All"})
    return bool(answer["spec"].get("schedulingGates"))


def admit(world: World, stop: threading.Event) -> None:
    while not stop.wait(0.3):
        found = world.api.items(POD, world.namespace)
        waiting = [pod for pod in found if pod["spec"].get("schedulingGates")]
        if not waiting or len(waiting) < len(found):
            continue
        name = waiting[0]["metadata"]["name"]
        try:
            world.api.merge(POD, world.namespace, name, {"spec": {"schedulingGates": None}})
        except ApiStatusError as error:
            if error.status not in (404, 409):
                raise


@dataclass(frozen=True)
class Short:
    """What is short: the spec, what the node has, what else there is, and what the status says of it."""

    spec: Json = field(default_factory=dict)
    has: Json = field(default_factory=dict)
    around: Any = None
    cause: str = ""
    reason: str = "WaitingForRoom"


SHORT = {
    "gpu": Short({"parallelism": {"tensor": 8}}, cause="Insufficient amd.com/gpu", reason="WaitingForSpareGPU"),
    "quota": Short(around=quota, cause="exceeded quota: gpus"),
    "defaults": Short(around=defaults, cause="exceeded quota: defaults"),
    "gate": Short(around=queue, cause=GATE),
    "anti-affinity": Short(pod_spec(affinity=APART), cause="anti-affinity rules"),
    "spread": Short(pod_spec(topologySpreadConstraints=[SPREAD]), cause="topology spread constraints"),
    "memory": Short(asks(memory="1200Gi", cpu="8"), cause="Insufficient memory"),
    "hugepages": Short(
        asks(hugepages_2Mi="1Gi", memory="1Gi", cpu="1"), {"hugepages-2Mi": "1Gi"}, cause="Insufficient hugepages-2Mi"
    ),
}

QUICK = {("gpu", "change"), ("anti-affinity", "restart")}
"""Of the product those that `make test` runs, a minute each; the others have `make soak`."""


@pytest.fixture
def nodes(world: World) -> Iterator[list[str]]:
    """One node that fits, and one that would if it were not cordoned: it counts for topology spread."""
    found = [f"{name}-{world.namespace}" for name in ("fits", "cordoned")]
    for name in found:
        world.kubelet.node(name, labels=MI325X)
    world.api.merge(NODE, "", found[1], {"spec": {"unschedulable": True}})
    until("the node to take pods", lambda: not world.api.get(NODE, "", found[0])["spec"].get("taints"))
    yield found
    world.clean()
    for name in found:
        world.kubelet.remove_node(name)


def roll(world: World, how: str) -> None:
    """A new image, or what `kubectl rollout restart` writes."""
    if how == "change":
        world.change({"image": "registry.example/vllm:2"})
        return
    stamp = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    template = {"template": {"metadata": {"annotations": stamp}}}
    world.api.merge(kinds.DEPLOYMENT, world.namespace, "qwen", {"spec": template})


@pytest.mark.parametrize(
    ("what", "how"),
    [
        pytest.param(what, how, marks=() if (what, how) in QUICK else pytest.mark.long, id=f"{what}-{how}")
        for what in SHORT
        for how in ("change", "restart")
    ],
)
def test_a_rollout_without_spare_room_ends(world: World, nodes: list[str], what: str, how: str) -> None:
    short = SHORT[what]
    world.kubelet.heartbeat(nodes[0], gpus=8, more=short.has)
    around: AbstractContextManager[None] = short.around(world) if short.around else nullcontext()
    with around:
        settle(world, gpu={"products": ["MI325X"]}, **short.spec)
        (old,) = world.scheduled(1)
        roll(world, how)
        status = world.shows(Progressing=short.reason, Ready=short.reason)
        found = {entry["type"]: entry for entry in status["conditions"]}
        assert short.cause in found["Progressing"]["message"]
        assert (found["Progressing"]["status"], found["Ready"]["status"]) == ("True", "Unknown")
        world.becomes("Progressing", "True", "UpdatingInPlace")
        (new,) = until("the new pod in the place of the old one", lambda: new_pods(world, [old]))
        world.kubelet.serving(new, report())
        status = world.shows(Progressing="RolloutComplete", Ready="AllReplicasWarm")
        assert (status["revision"]["updated"], status["revision"]["serving"]) == (1, 1)
        until("surging again", lambda: world.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1)


def test_a_quota_that_no_old_pod_uses_up_stops_none(world: World) -> None:
    """The change asks for more than the quota: what serves goes on."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": world.namespace}}
    world.api.create(QUOTA, {**body, "spec": {"hard": {"requests.amd.com/gpu": "2"}}})
    settle(world, parallelism={"tensor": 2})
    world.change({"parallelism": {"tensor": 4}})
    world.shows(Progressing="QuotaExceeded", Ready="ServingPreviousRevision", Available="True", phase="Degraded")
    assert world.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
