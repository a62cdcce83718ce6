"""TODO: what hipbmm_operator.plan.volume_claim is."""

from hipbmm_operator.api.spec import Claim
from hipbmm_operator.kube import kinds, quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.kube.ownership import made_by_us
from hipbmm_operator.kube.writes import Deletion, Step
from hipbmm_operator.resources import placement, volume_claim


def _claim(
    owner: Owner, wanted: Claim, place: placement.Placement, live: Json | None
) -> tuple[list[Step], list[Deletion]]:
    """Create the claim, repair it, or replace it while it is still unbound. A claim that is not ours is only used."""
    if not wanted.create:
        return [], []
    if place.claim is None:
        return [], _never_bound(owner, live)
    body = volume_claim.build(owner, wanted)
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
