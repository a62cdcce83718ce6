"""StorageReady: the volume on which rows are shared."""

from datetime import datetime

from hipbmm_operator.api.conditions import Finding, false, true, unknown
from hipbmm_operator.api.reasons import Storage
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import names
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.pods.failures import UNBOUND
from hipbmm_operator.resources.placement import SHARED, Placement
from hipbmm_operator.resources.volume_claim import StoredClaim

KIND = "StorageReady"
_UNBOUND = frozenset({"ClaimPending", "ProvisioningFailed", "StorageClassNotFound", "NoDefaultStorageClass"})
_OF_THE_FIRST_POD = ("WaitForFirstConsumer", "WaitForPodScheduled")
"""Kubernetes' words for a claim that is bound where its first pod is: there is none, or it has no node yet."""


def finding(place: Placement, spec: Spec, observed: Observed, asked: int, now: datetime) -> Finding:
    """The condition. What keeps the volume from working comes before what keeps the mirror from it."""
    found = _volume(place, spec, observed, now)
    if place.claim is not None and found.state != "False":
        # Reported at once, before a volume and pods are waited for: it will not get better.
        modes = observed.claim.usable_modes if observed.claim else tuple(sorted(spec.cache.pvc.access_modes))
        found = _for_one_node(place.claim, modes, spec, asked) or found
    if found.state == "True" and place.mirror and observed.mirror.reason:
        return false(KIND, observed.mirror.reason, observed.mirror.message)
    return found


def unbound(finding: Finding) -> Finding | None:
    """The condition when it says that a claim stays unbound: no pod that uses it can be scheduled."""
    stays = finding.state == "False" and finding.reason in _UNBOUND
    return finding if stays else None


def _volume(place: Placement, spec: Spec, observed: Observed, now: datetime) -> Finding:
    claim_name, live = place.claim, observed.claim
    if claim_name is None:
        return _without(place)
    if live is None:
        if spec.cache.pvc.create:
            return unknown(KIND, "Creating", f"claim {claim_name} is being created")
        return false(KIND, "ClaimNotFound", f"claim {claim_name} must exist, because spec.cache.pvc.create is false")
    if live.meta.deleting:
        return false(KIND, "ClaimTerminating", f"claim {claim_name} is being deleted")
    if live.phase == "Lost":
        return false(KIND, "ClaimLost", f"the volume of claim {claim_name} is gone")
    return (
        _bound(claim_name, live, spec, observed) if live.phase == "Bound" else _pending(claim_name, live, observed, now)
    )


def _without(place: Placement) -> Finding:
    """No volume is used."""
    if place.aside is not None:
        modes = ", ".join(place.modes)
        message = (
            f"claim {place.aside} is {modes}, which pods on several nodes cannot share: a ConfigMap is used instead"
        )
        return true(KIND, "Mirrored", message)
    if place.mirror:
        return true(KIND, "Mirrored", "there is no volume: rows are kept in a ConfigMap")
    return true(KIND, "NotConfigured", "no volume and no mirror are asked for: each pod tunes for itself")


def _pending(claim_name: str, live: StoredClaim, observed: Observed, now: datetime) -> Finding:
    if observed.facts.storage_class is False:
        if live.storage_class:
            message = f"claim {claim_name} wants storage class {live.storage_class!r}, which does not exist"
            return false(KIND, "StorageClassNotFound", message)
        return false(
            KIND, "NoDefaultStorageClass", f"claim {claim_name} names no storage class and there is no default one"
        )
    note = observed.facts.notes.get(live.meta.uid)
    if note and note.reason in _OF_THE_FIRST_POD:
        return unknown(KIND, "WaitForFirstConsumer", f"claim {claim_name} is bound when the first pod is scheduled")
    if live.meta.created is not None and now - live.meta.created < UNBOUND:
        return unknown(KIND, "ClaimPending", f"claim {claim_name} is not bound yet")
    failed = note is not None and note.reason == "ProvisioningFailed"
    message = f"claim {claim_name} is not bound" + (f": {note.message}" if note else "")
    return false(KIND, "ProvisioningFailed" if failed else "ClaimPending", message)


def _bound(claim_name: str, live: StoredClaim, spec: Spec, observed: Observed) -> Finding:
    problem = next(
        (pod.report.storage_error for pod in observed.live_pods if pod.report and not pod.report.storage_writable), None
    )
    if problem is not None:
        return false(
            KIND, _write_reason(problem), f"claim {claim_name} cannot be written: {problem or 'no reason given'}"
        )
    return true(KIND, "Bound", f"claim {claim_name} is bound{_kept_modes(spec, live)}")


def _kept_modes(spec: Spec, live: StoredClaim) -> str:
    """That a claim has other access modes than the spec names: they cannot change any more."""
    wanted = spec.cache.pvc
    if "access_modes" not in wanted.model_fields_set or tuple(sorted(wanted.access_modes)) == live.asked_modes:
        return ""
    modes = ", ".join(wanted.access_modes)
    return f"; it stays {', '.join(live.asked_modes)}: name a new claim in spec.cache.pvc.claimName to get {modes}"


def _for_one_node(claim_name: str, modes: tuple[str, ...], spec: Spec, asked: int) -> Finding | None:
    """Several replicas on a volume that only one node can use."""
    if asked <= 1 or SHARED in modes:
        return None
    remedy = "spec.cache.mirror: Auto"
    if spec.cache.mirror == "Auto":  # the claim came after the pods' template
        remedy = f"pods with a mirror (annotate the resource {names.ANNOTATION_ROLL_FORWARD})"
    needs = f"{asked} replicas on several nodes need {SHARED}, or {remedy}"
    return false(KIND, "AccessModeUnsupported", f"claim {claim_name} is {', '.join(modes)}: {needs}")


def _write_reason(problem: str) -> Storage:
    text = problem.lower()
    if "no space" in text or "enospc" in text or "quota" in text or "edquot" in text:
        return "NoSpaceLeft"
    if "read-only" in text or "erofs" in text:
        return "StoreReadOnly"
    return "StoreNotWritable"
