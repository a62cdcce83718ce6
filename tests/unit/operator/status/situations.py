"""Statuses of situations, for the tests of this room."""

from tests.unit.operator.make import (
    NOW,
    Json,
    deployment,
    hardware,
    observed,
    planned,
    pod,
    report,
    resource,
    time,
    typed,
)

from hipbmm_operator.api.status import Status
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.validation import Problem
from hipbmm_operator.plan.write_failure import WriteFailure
from hipbmm_operator.status.builder import Situation, build


def status(
    spec: Json | None = None,
    *bodies: Json,
    before: Json | None = None,
    live: Json | None = None,
    problems: tuple[Problem, ...] = (),
    refused: tuple[WriteFailure, ...] = (),
    plan: Plan | None = None,
    claim: Json | None = None,
    dropped: str = "",
    **seen: object,
) -> Json:
    of = resource(spec, status=before)
    now = observed(*bodies, live=live, claim=claim, **({"hardware": hardware()} | seen))  # type: ignore[arg-type]
    found = build(Situation(of, typed(of), problems, now, plan or planned(of, now), refused, dropped), NOW)
    Status.model_validate(found)
    return found


def condition(of: Json, kind: str) -> tuple[str, str]:
    entry = next(entry for entry in of["conditions"] if entry["type"] == kind)
    return entry["status"], entry["reason"]


def message(of: Json, kind: str) -> str:
    return str(next(entry["message"] for entry in of["conditions"] if entry["type"] == kind))


def serving(spec: Json | None = None, *, answer: Json | None = None, count: int = 1, **more: object) -> Json:
    """All replicas of the current revision serve."""
    of = resource(spec)
    plan = planned(of, observed(pod(answer=report())))
    bodies = [
        pod(f"qwen-{n}", revision=plan.revision.name, ready=True, answer=answer or report()) for n in range(count)
    ]
    return status(spec, *bodies, live=deployment(plan), **more)  # type: ignore[arg-type]  # passed on


def bound(phase: str = "Bound", ago: float = 60, **more: object) -> Json:
    metadata = {"name": "qwen-store", "uid": "uid-c", "creationTimestamp": time(ago)}
    return {"metadata": metadata, "spec": {"accessModes": ["ReadWriteMany"], **more}, "status": {"phase": phase}}
