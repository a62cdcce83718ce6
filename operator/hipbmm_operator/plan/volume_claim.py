"""The writes that the claim of the store needs. Pure."""

from collections.abc import Mapping

from hipbmm_operator.api.spec import Claim
from hipbmm_operator.kube import kinds, names, quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.kube.writes import Step
from hipbmm_operator.resources import placement, volume_claim
from hipbmm_operator.resources.volume_claim import StoredClaim


def steps(owner: Metadata, wanted: Claim, place: placement.Placement, live: StoredClaim | None) -> list[Step]:
    """Create the claim, repair it, or replace it while it is still unbound. A claim that is not ours is only used."""
    if not wanted.create:
        return []
    if place.claim is None:
        return _never_bound(owner, live)
    body = volume_claim.build(owner, wanted)
    if live is None:
        return [Step("create", kinds.CLAIM, body)]
    if not live.meta.made_for(owner):
        return []
    if _differs(body["spec"], live) and (replaced := _never_bound(owner, live)):
        # Its spec cannot be changed, so a corrected one takes its place.
        return replaced
    patch = _patch(body, live)
    return [Step("merge", kinds.CLAIM, patch)] if patch else []


def _never_bound(owner: Metadata, live: StoredClaim | None) -> list[Step]:
    """A claim of ours that is not used and was never bound, so that nothing is on it."""
    unbound = live is not None and live.meta.made_for(owner) and live.phase == "Pending"
    return [Step.delete(kinds.CLAIM, live.meta)] if live is not None and unbound else []


def _differs(wanted: Json, live: StoredClaim) -> bool:
    """Whether the immutable part of an unbound claim is not what is wanted. An unset class takes the default one."""
    storage_class = wanted.get("storageClassName")
    return list(live.asked_modes) != wanted["accessModes"] or storage_class not in (None, live.storage_class)


def _patch(body: Json, live: StoredClaim) -> Json:
    """The difference that may be repaired: labels, annotations, owner, and a larger size."""
    metadata = body["metadata"]
    patch: Json = {}
    for key, current in (("labels", live.meta.labels), ("annotations", live.meta.annotations)):
        missing: Json = dict(metadata[key].items() - current.items())
        if key == "labels" and _is_stale(metadata["labels"], current):
            missing[names.LABEL_INSTANCE] = None
        if missing:
            patch[key] = missing
    if metadata.get("ownerReferences", []) != list(live.meta.owners):
        patch["ownerReferences"] = metadata.get("ownerReferences")
    size = body["spec"]["resources"]["requests"]["storage"]
    grown = _larger(size, live.size)
    if not patch and not grown:
        return {}
    patch |= {"name": metadata["name"], "namespace": metadata["namespace"], "uid": live.meta.uid}
    return {"metadata": patch} | ({"spec": {"resources": {"requests": {"storage": size}}}} if grown else {})


def _is_stale(wanted: Mapping[str, str], current: Mapping[str, str]) -> bool:
    """Whether a retained claim has a label of when it was not retained (see LABEL_INSTANCE)."""
    given = current.get(names.LABEL_INSTANCE) == wanted[names.LABEL_DEPLOYMENT]
    return given and names.LABEL_INSTANCE not in wanted


def _larger(wanted: str, live: str) -> bool:
    size, current = quantity.value(wanted), quantity.value(live)
    return size is not None and current is not None and size > current
