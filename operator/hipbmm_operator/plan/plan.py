"""What to do next for one resource: a pure function of its spec, of what is there, and of the time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.kube.writes import Step
from hipbmm_operator.mirror import steps as mirror_steps
from hipbmm_operator.observe.observed import Child, Deployment, Observed
from hipbmm_operator.plan import revision, rollout, spare_room, volume_claim
from hipbmm_operator.plan.pace import Pace, pace
from hipbmm_operator.plan.spare_room import Obstacle
from hipbmm_operator.plan.validation import Checked
from hipbmm_operator.pods import failures
from hipbmm_operator.resources import (
    controller_revision,
    deployment,
    gpu_claims,
    placement,
    pod_template,
    references,
    service,
)
from hipbmm_operator.resources.server_args import Command

_UNSETTLED_SECONDS = 60.0
"""A resource that is not as it should be is reconciled again after so long, whatever event may have been lost."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes, in order: what pods use, the Deployment, deletions; and the decisions behind them."""

    steps: tuple[Step, ...]
    asked: int
    replicas: int
    released: bool
    strategy: str
    pace: Pace
    obstacle: Obstacle | None
    url: str
    revision: controller_revision.Revision
    outdated: bool
    placement: placement.Placement
    requeue_after: float | None

    def makes_something(self, children: Mapping[Kind, Child | None]) -> bool:
        """Whether it makes an object that is not there."""
        return any(
            step.mode == "create" or (step.mode == "apply" and children.get(step.kind) is None) for step in self.steps
        )


def decide(
    resource: Resource, checked: Checked, observed: Observed, payload: pod_template.Payload, now: datetime
) -> Plan | None:
    """The plan; None for a spec that cannot be used: the children stay as they are until its generation changes."""
    if checked.spec is None or checked.command is None or any(problem.fatal for problem in checked.problems):
        return None
    return plan(resource, checked.spec, checked.command, observed, payload, now)


def plan(
    resource: Resource, spec: Spec, command: Command, observed: Observed, payload: pod_template.Payload, now: datetime
) -> Plan:
    """Everything that should be, compared with what is there only where Kubernetes does not allow a change."""
    owner = resource.meta
    place = placement.choose(owner.name, spec.cache, observed.claim)
    render = partial(pod_template.template, owner.name, spec, command, place, payload)
    lacking = references.lacking(spec, observed.facts.keys)
    choice = revision.choose(resource, render, observed, lacking=lacking)
    place = placement.of(choice.current.template, place)
    released, replicas = rollout.released(spec, observed), rollout.replicas(spec, observed)
    obstacle = spare_room.obstacle(observed) if spec.rollout.strategy == "Auto" else None
    strategy = rollout.strategy(spec, observed, obstacle, now)
    how_fast = pace(spec, observed, choice.current.name)
    marked = released and rollout.noted(observed, replicas)
    workload = deployment.build(
        resource, spec, choice.current, replicas=replicas, strategy=strategy, pace=how_fast.kind, released=marked
    )
    monitor, several = spec.service.monitor.enabled, rollout.asked(spec) > 1
    front = service.build(owner, spec, monitored=monitor or observed.monitor.live is not None, tls=command.tls)
    scrape = service.build_monitor(owner, spec, tls=command.tls) if monitor and observed.monitor.served else None
    steps = [
        *volume_claim.steps(owner, spec.cache.pvc, place, observed.claim),
        *mirror_steps.steps(owner, observed.mirror, wanted=place.mirror),
        # As long as a template refers to them they are found, so they go first.
        *_gpu_claims(owner, spec, command, observed, choice),
        *_revision_steps(owner, observed, choice),
        Step("apply", kinds.SERVICE, front),
        *_optional(owner, kinds.SERVICE_MONITOR, scrape, None if monitor else observed.monitor.live),
        *_optional(owner, kinds.BUDGET, deployment.build_budget(owner) if several else None, observed.budget),
        *_workload_steps(owner, observed.deployment, workload),
    ]
    return Plan(
        steps=tuple(sorted(steps, key=lambda step: step.mode == "delete")),
        asked=rollout.asked(spec),
        replicas=replicas,
        released=released,
        strategy=strategy,
        pace=how_fast,
        obstacle=obstacle,
        url=service.url(owner, spec, tls=command.tls),
        revision=choice.current,
        outdated=choice.outdated,
        placement=place,
        requeue_after=_requeue(observed, obstacle, now, unfinished=replicas < rollout.asked(spec)),
    )


def _workload_steps(owner: Metadata, live: Deployment | None, workload: Json) -> list[Step]:
    """The Deployment, beside what others have written into it."""
    steps: list[Step] = []
    if live is not None and live.meta.writable_for(owner):
        workload["spec"]["template"] = deployment.restarted(workload["spec"]["template"], live.template)
        recreate = {"type": "Recreate", "rollingUpdate": None}
        if live.rolling and workload["spec"]["strategy"]["type"] == "Recreate":
            # Both are refused, and an apply would leave the figures that somebody else has set, too.
            patch = {"metadata": {"name": live.meta.name, "uid": live.meta.uid}, "spec": {"strategy": recreate}}
            steps.append(Step("merge", kinds.DEPLOYMENT, patch))
    return [*steps, Step("apply", kinds.DEPLOYMENT, workload)]


def _revision_steps(owner: Metadata, observed: Observed, choice: revision.Choice) -> list[Step]:
    """Of the current revision, if it has to be stored; orphans that stay get their owner back, and old ones go."""
    kept = [each for each in observed.revisions if each not in choice.obsolete and each.name != choice.current.name]
    orphans = [each for each in kept if not each.meta.owners]
    stored = [_revision_step(owner, each) for each in (*orphans, *([choice.current] if choice.store else ()))]
    return [*stored, *(Step.delete(kinds.CONTROLLER_REVISION, old.meta) for old in choice.obsolete)]


def _revision_step(owner: Metadata, revision: controller_revision.Revision) -> Step:
    """A template never changes; that it also serves another content of the spec is noted on the stored one."""
    body = controller_revision.build(owner, revision)
    if not revision.meta.uid:
        return Step("create", kinds.CONTROLLER_REVISION, body)
    body["metadata"]["uid"] = revision.meta.uid
    return Step("merge", kinds.CONTROLLER_REVISION, {"metadata": body["metadata"]})


def _gpu_claims(
    owner: Metadata, spec: Spec, command: Command, observed: Observed, choice: revision.Choice
) -> list[Step]:
    """The ResourceClaimTemplate that the pods refer to; those that no stored template refers to any more go."""
    name, there = gpu_claims.referred(choice.current.template), observed.claim_templates
    gone = {old.name for old in choice.obsolete}
    kept = {name, *(gpu_claims.referred(each.template) for each in observed.revisions if each.name not in gone)}
    found = [Step.delete(kinds.RESOURCE_CLAIM_TEMPLATE, meta) for meta in there if meta.name not in kept]
    if name and name not in {meta.name for meta in there}:
        body = gpu_claims.build(owner, name, spec.gpu, command.gpus)
        found.append(Step("create", kinds.RESOURCE_CLAIM_TEMPLATE, body))
    return found


def _optional(owner: Metadata, kind: Kind, body: Json | None, live: Child | None) -> list[Step]:
    """A child that is not always there; without a body, one of ours goes."""
    if body is not None:
        return [Step("apply", kind, body)]
    return [Step.delete(kind, live.meta)] if live is not None and live.meta.writable_for(owner) else []


def _requeue(observed: Observed, obstacle: Obstacle | None, now: datetime, *, unfinished: bool) -> float | None:
    """When time alone may change a decision."""
    waits = [failures.next_change(pod, now) for pod in observed.pods]
    if obstacle is not None:
        waits.append((obstacle.since + spare_room.GRACE - now).total_seconds())
    if observed.claim is not None and observed.claim_pending and observed.claim.meta.created is not None:
        waits.append((observed.claim.meta.created + failures.UNBOUND - now).total_seconds())
    if unfinished or not rollout.complete(observed):
        waits.append(_UNSETTLED_SECONDS)
    left = [seconds for seconds in waits if seconds is not None and seconds > 0]
    return max(1.0, min(left)) if left else None
