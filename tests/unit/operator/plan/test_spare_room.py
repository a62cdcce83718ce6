"""Rollouts that find no room: in place by evidence, in every form, and only where the end of an old pod helps."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.make import NOW, Json, deployment, observed, planned, pod, report, resource, time, typed
from tests.unit.operator.status.situations import condition, status

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.observe.observed import Note, Observed
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.spare_room import obstacle, split
from hipbmm_operator.resources import pod_demand
from hipbmm_operator.resources.controller_revision import Revision
from hipbmm_operator.status.builder import Situation, build

GPU = "0/1 nodes are available: 1 Insufficient amd.com/gpu. preemption: 0/1 nodes are available."
MEMORY = "0/2 nodes are available: 1 Insufficient memory, 1 node(s) didn't match Pod's node affinity/selector."
HUGEPAGES = "0/1 nodes are available: 1 Insufficient hugepages-2Mi."
NIC = "0/1 nodes are available: 1 Insufficient rdma/hca_shared_devices_a."
APART = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
SPREAD = "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints."
VOLUME = (
    "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod"
    " access mode."
)
QUOTA = (
    'pods "qwen-5d" is forbidden: exceeded quota: gpus, requested: requests.amd.com/gpu=1,'
    " used: requests.amd.com/gpu=2, limited: requests.amd.com/gpu=2"
)
KUEUE = "kueue.x-k8s.io/admission"


def server(**parts: Any) -> Json:  # noqa: ANN401
    return {"podTemplate": {"spec": {"containers": [{"name": "server", **parts}]}}}


def asks(**amounts: str) -> Json:
    """A server that wants so much; `hugepages_2Mi` is written with a hyphen."""
    wanted = {name.replace("_", "-"): amount for name, amount in amounts.items()}
    return server(resources={"requests": wanted, "limits": wanted})


def apart(**labels: str) -> Json:
    """Pods that no pod with these labels may share a node with."""
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {"podTemplate": {"spec": {"affinity": rules}}}


OWN = apart(**{"hipbmm.io/deployment": "qwen"})


class Rollout:
    """Two replicas serve; then the spec changes, or the Deployment is restarted, and a new pod waits."""

    def __init__(self, before: Json | None = None, after: Json | None = None, *, restart: bool = False) -> None:
        was = self.of({**(before or {})})
        seen = observed(pod(answer=report()))
        old = planned(was, seen)
        self.resource = was if restart else self.of({**(after or before or {}), "image": "vllm:2"})
        revision = Revision(
            old.revision.name, 1, old.revision.contents, old.revision.template, Metadata(uid="r", owners=({},))
        )
        self.revisions = (revision,)
        new = old if restart else planned(self.resource, observed(live=deployment(old), revisions=self.revisions))
        self.live = deployment(new)
        progress = 'Created new replica set "qwen-new"'
        self.live["status"]["conditions"] = [{"type": "Progressing", "status": "True", "message": progress}]
        self.old = [
            self.labelled(pod(f"old-{n}", revision=old.revision.name, answer=report(), ready=True), "old")
            for n in (1, 2)
        ]
        self.revision = new.revision.name

    @staticmethod
    def of(spec: Json) -> Resource:
        return resource({"replicas": 2, **spec})

    @staticmethod
    def labelled(body: Json, template_hash: str) -> Json:
        body["metadata"]["labels"] = {"pod-template-hash": template_hash}
        return body

    def waiting(self, message: str, since: float = 30, gate: str = "") -> Json:
        body = self.labelled(pod("new", revision=self.revision, unschedulable=message, since=since), "new")
        if gate:
            body["spec"]["schedulingGates"] = [{"name": gate}]
            body["status"]["conditions"][1]["reason"] = "SchedulingGated"
        return body

    def refused(self, message: str, since: float = 30) -> None:
        self.live["status"]["conditions"].append(
            {"type": "ReplicaFailure", "status": "True", "message": message, "lastTransitionTime": time(since)}
        )

    def seen(self, *new: Json, notes: Mapping[str, Note] | None = None) -> Observed:
        return observed(*self.old, *new, live=self.live, revisions=self.revisions, notes=notes or {})

    def plan(self, *new: Json, notes: Mapping[str, Note] | None = None) -> Plan:
        return planned(self.resource, self.seen(*new, notes=notes))


WANTS: dict[str, tuple[str, Json, str]] = {
    "gpu": (GPU, {}, "InsufficientGPU"),
    "memory": (MEMORY, asks(memory="64Gi"), "InsufficientResources"),
    "hugepages": (HUGEPAGES, asks(hugepages_2Mi="1Gi", memory="1Gi"), "InsufficientResources"),
    "other": (NIC, {}, "InsufficientResources"),
    "anti-affinity": (APART, apart(**{"hipbmm.io/deployment": "qwen"}), "AntiAffinity"),
    "spread": (SPREAD, {}, "TopologySpread"),
    "volume": (VOLUME, {}, "StorageNotReady"),
    "claims": ("0/1 nodes are available: 1 cannot allocate all claims.", {}, "InsufficientGPU"),
    "pods": ("0/1 nodes are available: 1 Too many pods.", {}, "InsufficientResources"),
}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("kind", WANTS)
def test_a_rollout_without_spare_room_goes_on_in_place(kind: str, *, restart: bool) -> None:
    message, spec, reason = WANTS[kind]
    rollout = Rollout(spec, restart=restart)
    early = rollout.plan(rollout.waiting(message, since=20))
    assert (early.strategy, early.requeue_after) == ("Surge", 10)
    late = rollout.plan(rollout.waiting(message, since=30))
    assert late.strategy == "InPlace"
    assert late.obstacle is not None
    assert late.obstacle.reason == reason


def test_a_rule_of_the_old_pods_alone_keeps_the_new_one_away() -> None:
    """The change takes the anti-affinity out; that of the pods that run still holds."""
    rollout = Rollout(OWN, {"podTemplate": {"spec": {}}})
    message = "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    assert rollout.plan(rollout.waiting(message)).strategy == "InPlace"


@pytest.mark.parametrize("restart", [False, True])
def test_a_quota_that_the_old_pods_use_up_is_no_room(*, restart: bool) -> None:
    """No new pod exists."""
    rollout = Rollout(restart=restart)
    rollout.refused(QUOTA, since=20)
    assert (rollout.plan().strategy, rollout.plan().requeue_after) == ("Surge", 10)
    rollout = Rollout(restart=restart)
    rollout.refused(QUOTA)
    assert rollout.plan().strategy == "InPlace"


def test_a_restart_in_place_goes_on_before_kubernetes_has_seen_that_it_is_one() -> None:
    """All pods are ready, and a quota has let no new one be made: only the newer ReplicaSet shows that it goes on."""
    rollout = Rollout(restart=True)
    rollout.refused(QUOTA)
    rollout.live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    for body in rollout.old:
        body["metadata"]["annotations"]["hipbmm.io/revision"] = rollout.revision
    rollout.live["metadata"]["generation"] = 2
    rollout.live["status"]["observedGeneration"] = 1
    assert rollout.plan().strategy == "InPlace"
    situation = Situation(rollout.resource, typed(rollout.resource), (), rollout.seen(), rollout.plan())
    assert condition(build(situation, NOW), "Ready") == ("Unknown", "UpdatingInPlace")


@pytest.mark.parametrize("kind", ["hierarchical ", "cluster "])
def test_a_quota_over_several_namespaces_is_no_room(kind: str) -> None:
    rollout = Rollout()
    figures = "requested: requests.amd.com/gpu=1, used: requests.amd.com/gpu=2, limited: requests.amd.com/gpu=2"
    rollout.refused(f'admission webhook "w" denied the request: exceeded {kind}quota in namespace "a": "q", {figures}')
    assert rollout.plan().strategy == "InPlace"


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("gate", [KUEUE, "scheduling.volcano.sh/queue-allocation-gate"])
def test_a_queue_that_admits_no_second_pod_is_no_room(gate: str, *, restart: bool) -> None:
    rollout = Rollout(restart=restart)
    gated = "Scheduling is blocked due to non-empty scheduling gates"
    plan = rollout.plan(rollout.waiting(gated, gate=gate))
    assert plan.strategy == "InPlace"
    assert plan.obstacle is not None
    assert (plan.obstacle.reason, gate in plan.obstacle.message) == ("SchedulingGated", True)
    other = rollout.plan(rollout.waiting(gated, gate="example.com/data-is-there"))
    assert (other.strategy, other.obstacle) == ("Surge", None)


@pytest.mark.parametrize(
    ("scheduler", "message", "after", "strategy"),
    [
        ("volcano", "pod group is not ready, 1 Pending, 1 minAvailable; Pending: 1 Unschedulable", {}, "InPlace"),
        ("kai-scheduler", "Workload requested 1 GPUs, but quota of queue team-a is 2", {}, "InPlace"),
        ("yunikorn", "application does not fit into queue root.models", {}, "InPlace"),
        (
            "scheduler-plugins",
            "pod is rejected in PreFilter because ElasticQuota team-a is more than Max",
            {},
            "InPlace",
        ),
        ("koord-scheduler", "Insufficient quotas, quotaName: team-a, exceedDimensions: [amd.com/gpu]", {}, "InPlace"),
        ("volcano", "pod group is not ready", asks(memory="2Ti"), "Surge"),
        ("volcano", "0/2 nodes are unavailable: 2 node(s) had untolerated taint {queue: gang}", {}, "Surge"),
        ("default-scheduler", "something about a queue", {}, "Surge"),
    ],
)
def test_a_scheduler_with_queues_that_has_no_room_says_so(
    scheduler: str, message: str, after: Json, strategy: str
) -> None:
    rollout = Rollout(after=after)
    new = rollout.waiting(message)
    new["spec"]["schedulerName"] = scheduler
    assert rollout.plan(new).strategy == strategy


def test_a_volume_that_is_attached_to_the_node_of_an_old_pod_is_no_room() -> None:
    rollout = Rollout()
    new = rollout.labelled(pod("new", revision=rollout.revision), "new")
    notes = {
        "uid-new": Note("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1": already used by pod(s) old-1')
    }
    assert rollout.plan(new, notes=notes).strategy == "InPlace"
    other = {"uid-new": Note("FailedAttachVolume", "timed out waiting for the attach")}
    assert rollout.plan(new, notes=other).strategy == "Surge"


@pytest.mark.parametrize(("asked", "used", "strategy"), [(1, 2, "InPlace"), (3, 2, "Surge")])
def test_a_quota_on_devices_that_the_old_pods_use_up_is_no_room(asked: int, used: int, strategy: str) -> None:
    """The pod is there, and Kubernetes cannot make its claim."""
    rollout = Rollout({"gpu": {"deviceClassName": "gpu.amd.com"}})
    name = "gpu.amd.com.deviceclass.resource.k8s.io/devices"
    message = f"is forbidden: exceeded quota: q, requested: {name}={asked}, used: {name}={used}, limited: {name}=2"
    new = rollout.labelled(pod("new", revision=rollout.revision), "new")
    new["spec"], new["status"] = {}, {"phase": "Pending"}
    plan = rollout.plan(new, notes={"uid-new": Note("FailedResourceClaimCreation", message)})
    assert plan.strategy == strategy


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (asks(memory="64Gi"), asks(memory="512Gi"), MEMORY),
        ({}, asks(hugepages_2Mi="1Gi", memory="1Gi"), HUGEPAGES),
        (apart(app="other"), apart(app="other"), APART),
        ({}, {}, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
        ({}, {}, "0/2 nodes are available: 2 node(s) had untolerated taint {x: y}."),
        (OWN, OWN, "0/2 nodes are available: 2 node(s) had untolerated taint {team: anti-affinity}."),
        (
            {},
            {},
            "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
        ),
        ({}, {}, "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    ],
)
def test_what_the_end_of_an_old_pod_would_not_lift_stops_none(before: Json, after: Json, message: str) -> None:
    rollout = Rollout(before, after)
    plan = rollout.plan(rollout.waiting(message, since=600))
    assert (plan.strategy, plan.obstacle) == ("Surge", None)


@pytest.mark.parametrize(
    "message",
    [
        'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: harvest,payload',
        "exceeded quota: q, requested: count/secrets=1, used: count/secrets=2, limited: count/secrets=2",
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
        "exceeded quota: q, requested: requests.amd.com/gpu=4, used: requests.amd.com/gpu=2, limited: pods=4",
        'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=3',
        'pods "x" is forbidden: exceeded quota: q, requested: limits.memory=9Gi, used: limits.memory=5Gi, limited: 1',
    ],
)
def test_a_refusal_that_would_stay_stops_no_pod(message: str) -> None:
    rollout = Rollout(restart=True)
    rollout.refused(message, since=600)
    assert (rollout.plan().strategy, rollout.plan().obstacle) == ("Surge", None)


def test_a_quota_in_other_figures_is_counted_too() -> None:
    rollout = Rollout(asks(memory="64Gi", cpu="8"), restart=True)
    one = int(pod_demand.of(rollout.live["spec"]["template"]).limits["memory"])
    rollout.refused(
        f'pods "x" is forbidden: exceeded quota: q, requested: limits.memory={one // 1024}Ki,pods=1,'
        f" used: limits.memory={2 * one},pods=2, limited: limits.memory={2 * one},pods=2"
    )
    assert rollout.plan().strategy == "InPlace"


def spread(**more: object) -> Json:
    rule = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", **more}
    return {"podTemplate": {"spec": {"topologySpreadConstraints": [rule]}}}


@pytest.mark.parametrize(
    ("rule", "strategy"),
    [
        (spread(), "InPlace"),
        (spread(minDomains=3), "InPlace"),
        (spread(matchLabelKeys=["pod-template-hash"]), "Surge"),
        (spread(labelSelector={"matchLabels": {"app": "another"}}), "Surge"),
        (
            spread(labelSelector={"matchExpressions": [{"key": "hipbmm.io/deployment", "operator": "Exists"}]}),
            "InPlace",
        ),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_old_pods_that_do_not_count_where_new_ones_are_spread_are_not_stopped(
    rule: Json, strategy: str, *, restart: bool
) -> None:
    rollout = Rollout(rule, restart=restart)
    assert rollout.plan(rollout.waiting(SPREAD, since=600)).strategy == strategy


@pytest.mark.parametrize("restart", [False, True])
def test_a_quota_that_counts_the_defaults_of_the_namespace(*, restart: bool) -> None:
    """The template says nothing about cpu; a LimitRange gives the server 8."""
    rollout = Rollout(restart=restart)
    rollout.refused(
        'pods "x" is forbidden: exceeded quota: q, requested: limits.cpu=8500m, used: limits.cpu=17, limited:'
        " limits.cpu=17"
    )
    assert rollout.plan().strategy == "InPlace"


def test_more_replicas_than_there_is_room_for_are_no_rollout() -> None:
    """Scaled up: all pods have the newest template."""
    rollout = Rollout(restart=True)
    rollout.live["status"]["conditions"][0]["message"] = 'ReplicaSet "qwen-old" is progressing.'
    rollout.refused(QUOTA)
    assert (rollout.plan().strategy, rollout.plan().obstacle) == ("Surge", None)


def test_an_explicit_strategy_is_what_the_user_wants() -> None:
    rollout = Rollout({"rollout": {"strategy": "Surge"}})
    assert rollout.plan(rollout.waiting(GPU, since=600)).strategy == "Surge"


def test_pods_of_a_restart_are_distinguished_without_the_words_of_the_deployment() -> None:
    rollout = Rollout(restart=True)
    rollout.live["status"]["conditions"] = []
    new = rollout.waiting(GPU)
    for body, ago in ((rollout.old[0], 900), (rollout.old[1], 30), (new, 60)):
        body["metadata"]["creationTimestamp"] = time(ago)
    current, former = split(rollout.seen(new), rollout.revision)
    assert ([each.name for each in current], [each.name for each in former]) == (["new"], ["old-1", "old-2"])
    assert obstacle(rollout.seen(new)) is not None


def test_the_status_of_a_rollout_without_room_moves_on() -> None:
    """First it waits, then it goes on in place, and never says that it is stuck."""
    rollout = Rollout(restart=True)
    for since, expected in ((20, "WaitingForSpareGPU"), (30, "UpdatingInPlace")):
        bodies = [*rollout.old, rollout.waiting(GPU, since=since)]
        found = status({"replicas": 2}, *copy.deepcopy(bodies), live=rollout.live, revisions=rollout.revisions)
        assert condition(found, "Progressing") == ("True", expected)
        assert condition(found, "Ready") == ("Unknown", expected)
        assert (found["phase"], found["revision"]["updated"], found["revision"]["serving"]) == ("Updating", 1, 0)
    rollout.refused(QUOTA, since=5)
    found = status({"replicas": 2}, *rollout.old, live=rollout.live, revisions=rollout.revisions)
    assert condition(found, "Progressing") == ("True", "WaitingForRoom")


def test_an_old_pod_that_is_being_stopped_is_still_a_rollout_in_place() -> None:
    rollout = Rollout(restart=True)
    rollout.live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    for body in rollout.old:
        body["metadata"]["deletionTimestamp"] = time()
    found = status({"replicas": 2}, *rollout.old, rollout.waiting(GPU), live=rollout.live, revisions=rollout.revisions)
    assert condition(found, "Progressing") == ("True", "UpdatingInPlace")


MESSAGES = (
    GPU,
    MEMORY,
    HUGEPAGES,
    NIC,
    APART,
    SPREAD,
    VOLUME,
    "0/1 nodes are available: 1 node(s) were unschedulable.",
)


@pytest.mark.parametrize("since", [0, 29, 31, 6000])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("message", MESSAGES)
def test_no_rollout_waits_without_being_looked_at_again(message: str, since: float, *, restart: bool) -> None:
    """Whether the end of an old pod would help or not, and whichever event is lost."""
    rollout = Rollout(restart=restart)
    for pods in ((), (rollout.waiting(message, since),), (rollout.waiting("gated", since, gate="example.com/x"),)):
        after = rollout.plan(*pods).requeue_after
        assert (after is not None and 0 < after <= 60) or (restart and not pods)
    refused = Rollout(restart=restart)
    refused.refused("exceeded quota: q, requested: requests.amd.com/gpu=4, used: pods=2, limited: pods=4", since)
    assert refused.plan().requeue_after is not None
