"""What kstatus makes of an object of a kind that it does not know: by this Flux, Argo Rollouts and `kpt` wait.

Its rules as published: sigs.k8s.io/cli-utils, pkg/kstatus/README.md and status/generic.go (`checkGenericProperties`),
then `checkReadyCondition` of status/status.go.
"""

from typing import Any, Literal

Json = dict[str, Any]
Result = Literal["Current", "InProgress", "Failed", "Terminating"]


def compute(body: Json) -> Result:
    """The status of an object as the API server gives it."""
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata.get("generation"):
        return "InProgress"
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or []}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    # An object that says nothing at all counts as done.
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"
