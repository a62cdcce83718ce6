"""The table run in Python: the patch of a pod, and why a pod has none. Pure."""

from typing import Any

from hipbmm_operator.injection import marks, table
from hipbmm_operator.kube.json_text import Json


def names(pod: Json, profile: Json) -> bool:
    """Whether a pod asks for this profile of its namespace by its label."""
    return bool(table.BY_LABEL.run({"object": pod, "params": profile}))


def matches(pod: Json, profile: Json) -> bool:
    """Whether a profile chooses a pod of its namespace by labels, if the namespace allows that."""
    return bool(table.BY_MATCH.run({"object": pod, "params": profile}))


def operations(pod: Json, profile: Json) -> list[Json]:
    """JSON Patch for a pod that asks for `profile`, whose status has the recipe; empty when the pod stays as it is."""
    scope = {"object": pod, "params": profile}
    invoked = table.NOT_SKIPPED.run(scope) and table.READY.run(scope) and not marks.SETTLED.run(scope)
    if not invoked:
        return []
    found: list[Json] = table.OPERATIONS.run(_scope(pod, profile))
    return found


def why_plain(pod: Json, profile: Json) -> str:
    """Why a pod that asks for `profile` is left as it is; "" when it is not."""
    scope = {"object": pod, "params": profile}
    if not table.NOT_SKIPPED.run(scope):
        return "Skipped"
    if not table.READY.run(scope):
        return "NotReady"
    values = _scope(pod, profile)
    return next((reason for reason, test in table.REFUSALS if test.run(values)), "")


def _scope(pod: Json, profile: Json) -> dict[str, Any]:
    scope: dict[str, Any] = {"object": pod, "params": profile}
    for name, term in table.VARIABLES:
        scope[name] = term.run(scope)
    return scope
