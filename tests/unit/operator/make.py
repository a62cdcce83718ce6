"""Values for tests of the pure core."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hipbmm_operator.api.conditions import Finding, true
from hipbmm_operator.api.resource import Resource, parse
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.api.status import HardwareStatus
from hipbmm_operator.detect.node_fit import HardwareSummary
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.observe import parse as parsed
from hipbmm_operator.observe.observed import Observed, OnDemandFacts, ServiceMonitorState
from hipbmm_operator.plan.plan import Plan, plan
from hipbmm_operator.resources import server_args
from hipbmm_operator.resources.controller_revision import Revision
from hipbmm_operator.resources.pod_template import Payload

Json = dict[str, Any]

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAYLOAD = Payload("registry.example/hipbmm-operator:1", "IfNotPresent")
MINIMAL: Json = {"image": "vllm:1", "model": {"name": "org/model"}, "replicas": 1}


def resource(spec: Json | None = None, *, status: Json | None = None, **metadata: object) -> Resource:
    """A resource of this spec (merged into a minimal one)."""
    body = {
        "metadata": {"namespace": "ns", "name": "qwen", "uid": "uid-1", "generation": 1, **metadata},
        "spec": {**copy.deepcopy(MINIMAL), **(spec or {})},
        "status": status or {},
    }
    return parse(body)


def typed(of: Resource) -> Spec:
    return Spec.model_validate(of.raw_spec)


def planned(of: Resource, seen: Observed | None = None, now: datetime = NOW, payload: Payload = PAYLOAD) -> Plan:
    """The plan of a resource in a situation."""
    spec = typed(of)
    return plan(of, spec, server_args.resolve(spec), seen or Observed(), payload, now)


def observed(
    *pods: Json,
    live: Json | None = None,
    claim: Json | None = None,
    budget: Json | None = None,
    monitor: ServiceMonitorState | None = None,
    mirror: MirrorState | None = None,
    revisions: tuple[Revision, ...] = (),
    hardware: HardwareSummary | None = None,
    **facts: Any,  # noqa: ANN401  # fields of OnDemandFacts
) -> Observed:
    """The cluster with these bodies: `live` is the Deployment."""
    return Observed(
        deployment=parsed.deployment(live) if live else None,
        claim=parsed.claim(claim) if claim else None,
        budget=parsed.child(budget) if budget else None,
        monitor=monitor or ServiceMonitorState(),
        mirror=mirror or MirrorState(),
        revisions=revisions,
        pods=tuple(parsed.pod(body) for body in pods),
        hardware=hardware,
        facts=OnDemandFacts(**facts),
    )


def time(ago: float = 0) -> str:
    """A Kubernetes time so many seconds ago."""
    return (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def hardware(finding: Finding | None = None, kinds: Json | None = None, **changes: object) -> HardwareSummary:
    values = {"nodes": 1, "product": "MI300X", "arch": "gfx942", "compute_units": 304, "partition": "SPX"}
    status = HardwareStatus.model_validate(values | changes)
    return HardwareSummary(finding or true("HardwareCompatible", "NodesMatched", "1 node has it"), status, kinds or {})


def report(**changes: object) -> Json:
    values: Json = {
        "v": 1,
        "state": "Complete",
        "reason": "Tuned",
        "message": "done",
        "key": "9f2c0a1b2c3d4e5f",
        "problems": 204,
        "tuned": 204,
        "source": "Tuned",
        "seconds": 48.1,
        "geomean": "1.11",
        "rows": 204,
        "stack": {"arch": "gfx942", "simulated": False},
        "unproven": [],
        "storage": {"writable": True, "error": ""},
    }
    return values | changes


def ended(code: int = 0, message: str = "", reason: str = "", seconds: float = 1) -> Json:
    times = {"startedAt": time(seconds), "finishedAt": time(0)}
    return {"exitCode": code, "reason": reason or ("Error" if code else "Completed"), "message": message, **times}


def pod(
    name: str = "qwen-1",
    *,
    revision: str = "",
    ready: bool = False,
    answer: Json | None = None,
    warming: bool = False,
    unschedulable: str | None = None,
    since: float = 0,
    **states: Json,
) -> Json:
    """A pod; `states` are container statuses by name (underscores for nothing)."""
    waits: Json = {"state": {"waiting": {"reason": "PodInitializing"}}}
    statuses: dict[str, Json] = {"payload": {"state": {"terminated": ended()}}, "warm": waits, "server": waits}
    if warming:
        statuses["warm"] = {"state": {"running": {}}}
    if answer is not None:
        statuses["warm"] = {"state": {"terminated": ended(message=json.dumps(answer))}}
        statuses["server"] = {"state": {"running": {}}, "ready": ready, "started": ready}
    statuses |= states
    conditions: list[Json] = [{"type": "Ready", "status": str(ready), "lastTransitionTime": time(since)}]
    if unschedulable is not None:
        conditions.append(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": unschedulable,
                "lastTransitionTime": time(since),
            }
        )
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "creationTimestamp": time(60),
            "labels": {names.LABEL_DEPLOYMENT: "qwen"},
            "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen", names.ANNOTATION_REVISION: revision},
        },
        "spec": {} if unschedulable is not None else {"nodeName": "node-1"},
        "status": {
            "phase": "Running" if answer else "Pending",
            "conditions": conditions,
            "initContainerStatuses": [{"name": key, **statuses[key]} for key in ("payload", "warm")],
            "containerStatuses": [
                {"name": key, **value} for key, value in statuses.items() if key not in ("payload", "warm")
            ],
        },
    }


def deployment(of: Plan, **annotations: str) -> Json:
    """The Deployment of a plan as the API server has it. How many replicas are ready is what its pods say."""
    body = copy.deepcopy(next(step.body for step in of.steps if step.kind == kinds.DEPLOYMENT))
    body["metadata"] |= {"uid": "uid-d", "resourceVersion": "5", "generation": 1}
    body["metadata"]["annotations"] |= annotations
    body["status"] = {"conditions": []}
    return body


def deletions(of: Plan) -> list[tuple[Kind, str, str]]:
    """Kind, name and uid of what a plan deletes; that comes last."""
    found = [step for step in of.steps if step.mode == "delete"]
    assert list(of.steps[len(of.steps) - len(found) :]) == found
    return [(step.kind, step.body["metadata"]["name"], step.body["metadata"]["uid"]) for step in found]
