"""What to do next for one resource: a pure function of its spec, of what is there, and of the time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hipbmm_operator import failures, kinds, names, placement, pods, quantity, revision, rollout
from hipbmm_operator.action import Deletion, Step
from hipbmm_operator.api.spec import Claim, Spec
from hipbmm_operator.kinds import Kind
from hipbmm_operator.mirror import steps as mirror_steps
from hipbmm_operator.observed import Observed, made_by_us, owned_by
from hipbmm_operator.resource import Resource
from hipbmm_operator.resources import budget, claim, deployment, monitor, pod, service
from hipbmm_operator.resources.owner import Owner
from hipbmm_operator.server_args import Command

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes, in order, and the decisions behind them."""

    steps: tuple[Step, ...]
    deletions: tuple[Deletion, ...]
    asked: int
    replicas: int
    released: bool
    strategy: str
    revision: revision.Revision
    outdated: bool
    placement: placement.Placement
    requeue_after: float | None


def plan(
    resource: Resource, spec: Spec, command: Command, observed: Observed, payload: pod.Payload, now: datetime
) -> Plan:
    """Everything that should be, compared with what is there only where Kubernetes does not allow a change."""
    owner = resource.owner
    place = placement.choose(owner.name, spec.cache, observed.claim)
    rendered = pod.template(owner.name, spec, command, place, payload)
    choice = revision.choose(resource, rendered, observed.revisions, observed.deployment)
    released, replicas = rollout.released(spec, observed), rollout.replicas(spec, observed)
    strategy = rollout.strategy(spec, observed, now)
    workload = deployment.build(
        owner,
        choice.current.template,
        replicas=replicas,
        strategy=strategy,
        budget_seconds=spec.tuning.budget_seconds,
        startup_seconds=spec.server.startup_seconds,
        released=rollout.marks(spec, observed, choice.current.name),
    )
    workload["metadata"]["annotations"] |= {
        names.ANNOTATION_REVISION: choice.current.name,
        names.ANNOTATION_CONTENT: revision.content(resource),
    }
    claim_steps, claim_deletions = _claim(owner, spec.cache.pvc, place, observed.claim)
    copies, obsolete_copies = mirror_steps.steps(owner, observed.mirror, wanted=place.mirror)
    steps = [*claim_steps, *copies]
    if choice.store:
        steps.append(_revision_step(owner, choice.current))
    monitored = spec.service.monitor.enabled or observed.monitor is not None
    steps.append(Step("apply", kinds.SERVICE, service.build(owner, spec, monitored=monitored)))
    if spec.service.monitor.enabled and observed.monitors_served:
        steps.append(Step("apply", kinds.SERVICE_MONITOR, monitor.build(owner, spec)))
    if rollout.asked(spec) > 1:
        steps.append(Step("apply", kinds.BUDGET, budget.build(owner)))
    steps.append(Step("apply", kinds.DEPLOYMENT, workload))
    return Plan(
        steps=tuple(steps),
        deletions=(*claim_deletions, *obsolete_copies, *_obsolete(owner, spec, observed, choice)),
        asked=rollout.asked(spec),
        replicas=replicas,
        released=released,
        strategy=strategy,
        revision=choice.current,
        outdated=choice.outdated,
        placement=place,
        requeue_after=_requeue(observed, now),
    )


def _revision_step(owner: Owner, current: revision.Revision) -> Step:
    """A template never changes; that it also serves another content of the spec is noted on the stored one."""
    body = revision.build(owner, current)
    if not current.uid:
        return Step("create", kinds.CONTROLLER_REVISION, body)
    body["metadata"]["uid"] = current.uid
    return Step("merge", kinds.CONTROLLER_REVISION, {"metadata": body["metadata"]})


def _claim(
    owner: Owner, wanted: Claim, place: placement.Placement, live: Json | None
) -> tuple[list[Step], list[Deletion]]:
    """Create the claim, repair it, or replace it while it is still unbound. A claim that is not ours is only used."""
    if not wanted.create:
        return [], []
    if place.claim is None:
        return [], _never_bound(owner, live)
    body = claim.build(owner, wanted)
    if live is None:
        return [Step("create", kinds.CLAIM, body)], []
    if not made_by_us(live, owner):
        return [], []
    if _differs(body["spec"], live.get("spec") or {}) and (replaced := _never_bound(owner, live)):
        # Its spec cannot be changed, so a corrected one takes its place.
        return [], replaced
    patch = _claim_patch(body, live)
    return ([Step("merge", kinds.CLAIM, patch)] if patch else []), []


def _never_bound(owner: Owner, live: Json | None) -> list[Deletion]:
    """A claim of ours that is not used and was never bound, so that nothing is on it."""
    if live is None or not made_by_us(live, owner) or (live.get("status") or {}).get("phase") != "Pending":
        return []
    metadata = live["metadata"]
    return [Deletion(kinds.CLAIM, metadata["name"], metadata["uid"], metadata["resourceVersion"])]


def _differs(wanted: Json, live: Json) -> bool:
    """Whether the immutable part of an unbound claim is not what is wanted. An unset class takes the default one."""
    storage_class = wanted.get("storageClassName")
    return sorted(live.get("accessModes") or []) != wanted["accessModes"] or (
        storage_class is not None and storage_class != live.get("storageClassName")
    )


def _claim_patch(body: Json, live: Json) -> Json:
    """The difference that may be repaired: labels, annotations, owner, and a larger size."""
    metadata, current = body["metadata"], live.get("metadata") or {}
    patch: Json = {}
    for key in ("labels", "annotations"):
        missing = {k: v for k, v in metadata[key].items() if (current.get(key) or {}).get(k) != v}
        if missing:
            patch[key] = missing
    if (metadata.get("ownerReferences") or []) != (current.get("ownerReferences") or []):
        patch["ownerReferences"] = metadata.get("ownerReferences")
    size = body["spec"]["resources"]["requests"]["storage"]
    grown = _larger(size, ((live.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage"))
    if not patch and not grown:
        return {}
    patch |= {"name": metadata["name"], "namespace": metadata["namespace"], "uid": current["uid"]}
    return {"metadata": patch} | ({"spec": {"resources": {"requests": {"storage": size}}}} if grown else {})


def _larger(wanted: str, live: object) -> bool:
    size, current = quantity.value(wanted), quantity.value(str(live))
    return size is not None and current is not None and size > current


def _obsolete(owner: Owner, spec: Spec, observed: Observed, choice: revision.Choice) -> list[Deletion]:
    gone = [
        Deletion(kinds.CONTROLLER_REVISION, old.name, old.uid, old.resource_version)
        for old in choice.obsolete
        if old.uid
    ]
    if rollout.asked(spec) <= 1:
        gone += _ours(owner, kinds.BUDGET, observed.budget)
    if not spec.service.monitor.enabled:
        gone += _ours(owner, kinds.SERVICE_MONITOR, observed.monitor)
    return gone


def _ours(owner: Owner, kind: Kind, live: Json | None) -> list[Deletion]:
    if live is None or not owned_by(live, owner):
        return []
    metadata = live["metadata"]
    return [Deletion(kind, metadata["name"], metadata["uid"], metadata["resourceVersion"])]


def _requeue(observed: Observed, now: datetime) -> float | None:
    """When time alone may change a decision."""
    waits = [failures.next_change(pod, now) for pod in observed.pods]
    since = rollout.starving_since(observed)
    if since is not None:
        waits.append((since + rollout.NO_SPARE_GPU - now).total_seconds())
    made = pods.moment(((observed.claim or {}).get("metadata") or {}).get("creationTimestamp"))
    if made is not None and observed.claim_pending:
        waits.append((made + failures.UNBOUND - now).total_seconds())
    left = [seconds for seconds in waits if seconds is not None and seconds > 0]
    return max(1.0, min(left)) if left else None
