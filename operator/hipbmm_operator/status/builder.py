"""Builds the whole status of a HipbmmDeployment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hipbmm_operator.api import conditions
from hipbmm_operator.api.conditions import Finding, false, outdated_crd, true, unknown
from hipbmm_operator.api.reasons import Foreign, Reason
from hipbmm_operator.api.resource import Resource
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.api.status import (
    MAX_FAILURES,
    CacheStatus,
    RevisionStatus,
    ServiceStatus,
    Status,
)
from hipbmm_operator.api.status import Failure as FailureStatus
from hipbmm_operator.kube import names, times
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import object_at, objects_at
from hipbmm_operator.observe.observed import NO_PULL_SECRET, UNPLACED, Note, Observed
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.spare_room import split
from hipbmm_operator.plan.validation import Problem
from hipbmm_operator.plan.write_failure import WriteFailure, refusal
from hipbmm_operator.pods import failures as pod_failures
from hipbmm_operator.pods.failures import IMAGE_REASONS, Failure
from hipbmm_operator.pods.pod import Pod, leading
from hipbmm_operator.status import ready as summary
from hipbmm_operator.status import rollout, stacks, storage, tuning


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a status is made of. `spec` and `plan` are None when the spec could not be used."""

    resource: Resource
    spec: Spec | None
    problems: tuple[Problem, ...]
    observed: Observed
    plan: Plan | None
    refused: tuple[WriteFailure, ...] = ()
    dropped: str = ""
    """A field of the status that the API server did not keep, or its own words about the status."""


def build(situation: Situation, now: datetime) -> Json:
    """The status as the API server stores it."""
    resource, observed, plan = situation.resource, situation.observed, situation.plan
    failures = _failures(situation, now)
    current = rollout.of_current(observed, plan, failures) if plan else failures
    found = {finding.type: finding for finding in _findings(situation, current, now)}
    replicas, serving = rollout.replicas(observed)
    suspended = situation.spec is not None and situation.spec.suspend
    left = [pod for pod in observed.pods if not pod.over]
    found["Ready"] = summary.ready(found, plan, left, serving, suspended=suspended)
    stalled = summary.stalled(found, observed)
    listed = [*(found[kind] for kind in conditions.TYPES), *([stalled] if stalled else [])]
    warm = sum(1 for pod in observed.live_pods if observed.warm(pod))
    revision = plan.revision.name if plan else ""
    asked = plan.asked if plan else observed.deployment.replicas if observed.deployment else None
    by_stack = stacks.of_pods(observed, tuning.reporting(observed, revision), resource.previous.stacks)
    return Status(
        observed_generation=resource.meta.generation,
        phase=summary.phase(found, observed, plan),
        replicas=replicas,
        ready_replicas=serving,
        warm_replicas=warm,
        warm="" if asked is None else f"{warm}/{asked}",
        selector=",".join(f"{key}={value}" for key, value in sorted(names.selector_labels(resource.meta.name).items())),
        hardware=observed.hardware.status if observed.hardware else None,
        tuning=tuning.status(observed, revision, resource.previous.tuning, by_stack, current),
        stacks=by_stack,
        cache=_cache(observed, plan, revision) if plan else resource.previous.cache,
        service=_service(resource, plan),
        revision=_revision(observed, plan) if plan else None,
        failures=[_failure_status(failure) for failure in failures[:MAX_FAILURES]],
        conditions=conditions.merge(resource.previous.conditions, listed, resource.meta.generation, now),
    ).body()


def without_access(resource: Resource, refusal: str, now: datetime) -> Json:
    """The status of a resource that the operator may not observe: what was known, and why nothing more is."""
    message = f"the operator has no access: {refusal}"
    before = resource.previous.conditions
    found = {each.type: Finding(each.type, each.status, Foreign(each.reason), each.message) for each in before}
    found["Ready"] = unknown("Ready", "Forbidden", message)
    found["Progressing"] = false("Progressing", "Forbidden", message)
    listed = [found.get(kind) or unknown(kind, "Pending", message) for kind in conditions.TYPES]
    merged = conditions.merge(before, listed, resource.meta.generation, now)
    return {
        "phase": "Pending",
        **resource.raw_status,
        "observedGeneration": resource.meta.generation,
        "conditions": [condition.body() for condition in merged],
    }


def _findings(situation: Situation, failures: Sequence[Failure], now: datetime) -> list[Finding]:
    """The conditions that Ready sums up; `failures` are those of pods of the current revision."""
    observed, spec, plan, refused = situation.observed, situation.spec, situation.plan, situation.refused
    live = observed.deployment
    asked = plan.asked if plan else live.replicas if live else 1
    found = [_config(situation), _compatible(observed), rollout.available(observed, asked, failures)]
    if spec is None or plan is None:
        pending = [unknown(kind, "Pending", "the spec cannot be used") for kind in ("StorageReady", "Tuned")]
        return [*found, *pending, rollout.unusable(observed, found[0]), tuning.warm(observed, 0)]
    stored = storage.finding(plan.placement, spec, observed, plan.asked, now)
    return [
        *found,
        stored,
        rollout.progressing(observed, plan, failures, refused, storage.unbound(stored)),
        tuning.tuned(observed, plan.revision.name, failures),
        tuning.warm(observed, plan.asked, spec.server.dispatch),
    ]


def _config(situation: Situation) -> Finding:
    """ConfigValid: the spec can be used as it is."""
    problems = sorted(situation.problems, key=lambda problem: not problem.fatal)
    rejected = [write for write in situation.refused if write.reason == "Rejected"]
    if problems:
        return false("ConfigValid", problems[0].reason, "; ".join(problem.message for problem in problems))
    if rejected:
        return false("ConfigValid", "Rejected", "; ".join(write.message for write in rejected))
    if situation.spec and situation.spec.service.monitor.enabled and not situation.observed.monitor.served:
        message = "spec.service.monitor.enabled: the cluster has no ServiceMonitors; install the Prometheus operator"
        return false("ConfigValid", "MonitorNotInstalled", message)
    reports = [pod.report for pod in situation.observed.live_pods if pod.report is not None]
    missing = next((report for report in reports if report.reason in ("ConfigMissing", "ConfigInvalid")), None)
    if missing is not None:
        return false("ConfigValid", missing.reason, missing.message)
    if situation.dropped:
        return outdated_crd(situation.dropped)
    return true("ConfigValid", "Valid")


def _compatible(observed: Observed) -> Finding:
    if observed.hardware is None:
        return unknown("HardwareCompatible", "NodesNotReadable", "the operator may not read nodes")
    return observed.hardware.finding


def _revision(observed: Observed, plan: Plan) -> RevisionStatus:
    current, _ = split(observed, plan.revision.name)
    serving = sum(pod.ready for pod in current)
    return RevisionStatus(current=plan.revision.name, updated=len(current), serving=serving, outdated=plan.outdated)


def _service(resource: Resource, plan: Plan | None) -> ServiceStatus | None:
    """A spec that cannot be used changes no child: clients reach the old pods by the same Service."""
    return ServiceStatus(name=names.child(resource.meta.name), url=plan.url) if plan else resource.previous.service


def _cache(observed: Observed, plan: Plan, revision: str) -> CacheStatus:
    report = leading(tuning.reporting(observed, revision))
    mirror = observed.mirror.mounted
    return CacheStatus(
        claim_name=plan.placement.claim,
        access_modes=list(observed.claim.usable_modes) if observed.claim and plan.placement.claim else [],
        mirror=mirror.meta.name if mirror is not None and plan.placement.mirror else None,
        rows=report.rows if report else None,
        digest=report.digest or None if report else None,
    )


def _failures(situation: Situation, now: datetime) -> list[Failure]:
    startup = situation.spec.server.startup_seconds if situation.spec else math.inf
    observed = situation.observed
    found = pod_failures.of_pods(_current(observed), startup, now)
    failing = {failure.pod for failure in found}
    notes = {pod.name: observed.facts.notes[pod.uid] for pod in observed.live_pods if pod.uid in observed.facts.notes}
    found += [Failure(name, None, *_of_note(note)) for name, note in notes.items() if name not in failing]
    waiting = [pod for pod in observed.live_pods if pod.name not in failing and pod.name not in notes]
    found += [failure for pod in waiting if (failure := pod_failures.unheard(pod, now)) is not None]
    before = situation.resource.previous.failures
    found = [_without_secret(_steady(failure, before), notes.get(failure.pod)) for failure in found]
    return [_with_claims(failure, observed) for failure in found]


def _with_claims(failure: Failure, observed: Observed) -> Failure:
    """With the claims of the pods, where the scheduler says only that one of them is not bound."""
    if failure.reason != "StorageNotReady" or "unbound" not in failure.message or observed.deployment is None:
        return failure
    volumes = objects_at(observed.deployment.template, "spec", "volumes")
    claims = [str(object_at(each, "persistentVolumeClaim").get("claimName", "")) for each in volumes]
    return replace(failure, message=f"{failure.message} (claims: {', '.join(filter(None, claims))})")


def _of_note(note: Note) -> tuple[Reason | Foreign, str]:
    if note.reason == UNPLACED:
        return pod_failures.unschedulable_reason(note.message), pod_failures.with_second_cause(note.message)
    return refusal(note.message) or Foreign(note.reason), note.message


def _current(observed: Observed) -> list[Pod]:
    """Pods whose failures count.

    Kubernetes keeps failed pods (evicted, or of a node that was shut down) long after others took their place: those
    do not count. An unbound claim is reported by StorageReady, and not again for each pod that waits for it.
    """
    pods = observed.pods
    placed = [pod.created for pod in pods if pod.live and pod.begun and pod.created is not None]
    newest = max(placed, default=None)
    today = [pod for pod in pods if pod.live or newest is None or pod.created is None or pod.created > newest]
    return [pod for pod in today if not (observed.claim_pending and pod_failures.waits_for_claim(pod))]


def _without_secret(failure: Failure, note: Note | None) -> Failure:
    """A pull that is refused because its secret is missing."""
    pulls = failure.reason in IMAGE_REASONS and failure.reason != "PullSecretNotFound"
    if not pulls or note is None or note.reason != NO_PULL_SECRET:
        return failure
    return replace(failure, reason="PullSecretNotFound", message=f"{note.message}; {failure.message}")


def _steady(failure: Failure, before: Sequence[FailureStatus]) -> Failure:
    """Keep what a former message said: while an image pull backs off, Kubernetes names no cause."""
    if failure.reason not in IMAGE_REASONS or failure.message:
        return failure
    for entry in before:
        same = (entry.pod, entry.container) == (failure.pod, failure.container)
        if same and entry.reason in IMAGE_REASONS:
            return replace(failure, reason=Foreign(entry.reason), message=entry.message)
    return replace(failure, message="the image cannot be pulled")


def _failure_status(failure: Failure) -> FailureStatus:
    return FailureStatus(
        pod=failure.pod[:256],
        container=failure.container,
        reason=failure.reason[:256],
        message=failure.message[:1024],
        exit_code=failure.exit_code,
        time=times.timestamp(failure.time) if failure.time else None,
    )
