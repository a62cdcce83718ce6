"""How a status differs from what is stored, and what an older CRD does not keep of it. Pure."""

import re

from hipbmm_operator.kube.json_text import Json, missing

_FIRST_PHASE = "Pending"
"""Every CRD has it, and needs one."""


def merge_patch(before: Json, after: Json) -> Json:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif value != old or key not in before:
            patch[key] = value
    return patch


def lost(sent: Json, stored: Json) -> str:
    """The first field of a status that is not in what the API server stored; "" when all of them are."""
    return re.sub(r"\[\d+\]", "[]", next(missing(sent, stored, "status"), ""))  # whichever entry of a list it is


def without(status: Json, before: Json, refusal: str) -> Json:
    """A status whose fields that a refusal names are as they were before, or left out."""
    named = set(re.findall(r"\bstatus\.([A-Za-z]+)", refusal)) - {"conditions"}
    kept = {key: value for key, value in status.items() if key not in named}
    back = {key: before[key] for key in named if key in before}
    return ({"phase": _FIRST_PHASE} if "phase" in named else {}) | back | kept
