"""The PersistentVolumeClaim of the store."""

from hipbmm_operator.api.spec import Claim
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner


def name(owner_name: str, claim: Claim) -> str | None:
    """Name of the claim that pods mount; None when no volume is wanted."""
    if claim.claim_name:
        return claim.claim_name
    return names.child(owner_name, "store") if claim.create else None


def build(owner: Owner, claim: Claim) -> Json:
    """The claim. A retained one has no owner, so it outlives the resource."""
    metadata = owner.metadata("store", owned=not claim.retain)
    metadata["name"] = name(owner.name, claim)
    spec: Json = {
        "accessModes": sorted(claim.access_modes),
        "resources": {"requests": {"storage": str(claim.size)}},
    }
    if claim.storage_class_name is not None:
        spec["storageClassName"] = claim.storage_class_name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
