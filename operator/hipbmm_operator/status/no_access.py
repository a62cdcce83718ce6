"""The status of a resource that the operator may not observe: what was known, and why nothing more is. Pure."""

from datetime import datetime

from hipbmm_operator.api import conditions
from hipbmm_operator.api.conditions import Finding, false, unknown
from hipbmm_operator.api.reasons import Foreign
from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube.json_text import Json


def build(resource: Resource, refusal: str, now: datetime) -> Json:
    """The status as the API server stores it. `refusal` is the API server's answer."""
    message = f"the operator has no access: {refusal}"
    before = {entry.type: entry for entry in resource.previous.conditions}
    found = {kind: unknown(kind, "Pending", message) for kind in conditions.TYPES}
    found |= {
        kind: Finding(kind, old.status, Foreign(old.reason), old.message)
        for kind, old in before.items()
        if kind in found
    }
    found["Ready"] = unknown("Ready", "Forbidden", message)
    found["Progressing"] = false("Progressing", "Forbidden", message)
    merged = conditions.merge(before.values(), list(found.values()), resource.meta.generation, now)
    return {
        "phase": "Pending",
        **resource.raw_status,
        "observedGeneration": resource.meta.generation,
        "conditions": [condition.body() for condition in merged],
    }
