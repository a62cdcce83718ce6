"""Evidence that old pods hold the room that a new pod waits for: then a rollout has to continue in place. Pure.

The evidence is in the words of whoever refuses the new pod: the scheduler, the quota at creation, the scheduling gate
of a queue, the node's kubelet, the volume that is attached elsewhere. A refusal that the end of an old pod would not
lift does not count: a larger request, a quota that wants a limit, a node that does not match.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from hipbmm_operator.api.reasons import Foreign, Reason
from hipbmm_operator.kube import quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.observe.observed import Deployment, Observed
from hipbmm_operator.pods import failures
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.resources import pod_demand
from hipbmm_operator.resources.pod_demand import Demand

GRACE = timedelta(seconds=30)
"""How long a new pod may wait for room before its rollout goes on in place: what is free by then needs no stop."""
_QUEUE_GATES = ("kueue.x-k8s.io/", "scheduling.volcano.sh/")
"""Of the gates of Kueue and Volcano, which hold a pod back until its queue has quota (kueue.sigs.k8s.io, "Run Plain
Pods"; `QueueAllocationGateKey` of volcano.sh/apis)."""
_QUEUE_WORDS = re.compile(r"\b(?:queue|\w*quota|pod ?group|gang)s?\b", re.IGNORECASE)
_INSUFFICIENT = re.compile(r"Insufficient ([A-Za-z0-9./_-]*[A-Za-z0-9])")
_QUOTA = re.compile(r"exceeded (?:\w+ )?quota\b[^,]+, requested: (\S+), used: (\S+), limited: (\S+)")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a new pod finds no room beside the old ones, and since when."""

    reason: Reason | Foreign
    message: str
    since: datetime

    def overdue(self, now: datetime) -> bool:
        """Whether it has lasted for so long that the rollout goes on in place."""
        return now - self.since >= GRACE


def split(observed: Observed, revision: str) -> tuple[list[Pod], list[Pod]]:
    """Live pods of a revision's newest template, and the other live ones.

    A restart changes the template beside the operator: its pods have the same revision and another hash.
    """
    of = [pod for pod in observed.live_pods if pod.revision == revision]
    live = observed.deployment
    newest = live.newest_hash if live is not None and live.revision == revision else ""
    # After a return to a former template Kubernetes names the one in between until the rollout is complete.
    if not newest or any(pod.template_hash == newest and pod.revision != revision for pod in observed.live_pods):
        # Kubernetes does not name the newest ReplicaSet: it is the one whose first pod was made last.
        first: dict[str, float] = {}
        for pod in of:
            made = pod.created.timestamp() if pod.created else 0.0
            first[pod.template_hash] = min(made, first.get(pod.template_hash, made))
        newest = max(first, key=first.__getitem__, default="")
    current = [pod for pod in of if pod.template_hash == newest]
    return current, [pod for pod in observed.live_pods if pod not in current]


def obstacle(observed: Observed) -> Obstacle | None:
    """The first thing that keeps a new pod waiting for the end of an old one; None when there is no evidence of any."""
    live = observed.deployment
    if live is None:
        return None
    current, former = split(observed, live.revision)
    holding = [pod for pod in former if pod.node]
    if not holding:
        return None
    templates = {live.revision: live.template} | {revision.name: revision.template for revision in observed.revisions}
    olds = [templates[pod.revision] for pod in holding if pod.revision in templates] or [live.template]
    # What a new pod asks for, and what the end of an old one frees at least.
    new, old = pod_demand.of(live.template), pod_demand.least([pod_demand.of(each) for each in olds])
    found = [
        *_of_quota(new, old, live.refusal or "", live.refused_since),
        *(hindrance for pod in current for hindrance in _of_scheduler(live, olds, new, old, pod)),
        *(_of_nodes(live, observed, [pod.template_hash for pod in former], holding) if _as_much(new, old) else ()),
        *(hindrance for pod in current for hindrance in _of_note(observed, new, old, pod)),
    ]
    return min(found, key=lambda each: each.since, default=None)


def _of_quota(new: Demand, old: Demand, refusal: str, since: datetime | None) -> Iterator[Obstacle]:
    """The quota lets nothing be made beside the old pods, and would when what one of them holds is freed."""
    figures = _QUOTA.search(refusal)
    if figures is None or since is None:
        return
    requested, used, limited = (_figures(figures[number]) for number in (1, 2, 3))
    fits = all(
        name in limited
        and max(used.get(name, Decimal()) - old.freed(name, amount, new), Decimal()) + amount <= limited[name]
        for name, amount in requested.items()
    )
    if fits:
        yield Obstacle("QuotaExceeded", refusal, since)


def _of_scheduler(live: Deployment, olds: Sequence[Json], new: Demand, old: Demand, pod: Pod) -> Iterator[Obstacle]:
    reason = failures.scheduling_reason(pod)
    if reason is not None and pod.unschedulable_since is not None and _in_the_way(live, olds, new, old, pod):
        yield Obstacle(reason, f"{pod.name}: {pod.unschedulable}", pod.unschedulable_since)


def _of_nodes(
    live: Deployment, observed: Observed, former: Sequence[str], holding: Sequence[Pod]
) -> Iterator[Obstacle]:
    """The node of an old pod refuses new ones; Kubernetes makes one after the other, and none gets through."""
    pods = [pod for pod in observed.pods if pod.revision == live.revision and pod.template_hash not in former]
    nodes, newest = {pod.node for pod in holding}, max((pod.created for pod in holding if pod.created), default=None)
    if any(pod.live and pod.begun for pod in pods):
        return
    for pod in pods:
        reason = failures.refused_by_node(pod)
        # Not a record of former days: the same template may come again.
        if reason and pod.node in nodes and pod.created and (newest is None or pod.created > newest):
            yield Obstacle(reason, f"{pod.name}: {pod.message}", pod.created)


def _as_much(new: Demand, old: Demand) -> bool:
    """Whether a new pod asks for no more than the end of an old one frees."""
    return all(amount <= old.requests.get(name, 0) for name, amount in new.requests.items())


def _of_note(observed: Observed, new: Demand, old: Demand, pod: Pod) -> Iterator[Obstacle]:
    """What an Event says: a volume that is attached elsewhere, a quota on the devices that the pod claims."""
    note = observed.facts.notes.get(pod.uid)
    if note is None or pod.created is None:
        return
    if "Multi-Attach error" in note.message:
        yield Obstacle("FailedAttachVolume", f"{pod.name}: {note.message}", pod.created)
    yield from _of_quota(new, old, note.message, pod.created)


def _in_the_way(live: Deployment, olds: Sequence[Json], new: Demand, old: Demand, pod: Pod) -> bool:
    """Whether the end of an old pod would let the scheduler place this one."""
    message = failures.without_names(pod.unschedulable or "")
    if pod.gates:
        return all(gate.startswith(_QUEUE_GATES) for gate in pod.gates)
    for resource in _INSUFFICIENT.findall(message):
        # GPUs of one pod can be those of several: a node that fits is there, or HardwareCompatible says so.
        if resource.startswith("amd.com/") or new.requests.get(resource, 0) <= old.requests.get(resource, 0):
            return True
    if pod.scheduler not in ("", "default-scheduler") and _QUEUE_WORDS.search(message):
        # A scheduler with queues: they have room for this pod when one that asks for as much ends.
        return _as_much(new, old)
    if any(words in message for words in ("Too many pods", "ReadWriteOncePod", "cannot allocate all claims")):
        return True
    return _kept_apart(live, olds, message)


def _kept_apart(live: Deployment, olds: Sequence[Json], message: str) -> bool:
    """Whether new and old pods keep apart; an anti-affinity may be the old ones' alone (a change has taken it out)."""
    new, namespace = live.template, live.meta.namespace
    if "anti-affinity" in message and any(
        pod_demand.repels(new, old, namespace) or pod_demand.repels(old, new, namespace) for old in olds
    ):
        return True
    spread = "topology spread constraints" in message and "missing required label" not in message
    return spread and any(pod_demand.spreads(new, old) for old in olds)


def _figures(text: str) -> dict[str, Decimal]:
    """`requests.amd.com/gpu=2,pods=3`; an amount that is none counts as 0."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name: quantity.value(amount) or Decimal() for name, _, amount in pairs}
