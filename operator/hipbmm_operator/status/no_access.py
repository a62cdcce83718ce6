"""The status of a resource that the operator may not look after: what was known, and why nothing more is. Pure."""

from datetime import datetime

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.status import conditions
from hipbmm_operator.status.conditions import Finding, false, unknown


def build(resource: Resource, refusal: str, now: datetime) -> Json:
    """The status as the API server stores it."""
    previous = resource.raw_status
    told = f"the operator may not look: {refusal}"
    before = {str(entry.get("type")): entry for entry in previous.get("conditions") or []}
    found = [_kept(before[kind]) if kind in before else unknown(kind, "Pending", told) for kind in conditions.TYPES]
    news = {"Ready": unknown("Ready", "Forbidden", told), "Progressing": false("Progressing", "Forbidden", told)}
    merged = conditions.merge(
        previous.get("conditions") or [], [news.get(each.type, each) for each in found], resource.generation, now
    )
    return {
        "phase": "Pending",
        **previous,
        "observedGeneration": resource.generation,
        "conditions": [condition.model_dump(by_alias=True, exclude_none=True) for condition in merged],
    }


def _kept(condition: Json) -> Finding:
    return Finding(condition["type"], condition["status"], condition["reason"], condition.get("message", ""))
