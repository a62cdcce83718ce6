"""The PersistentVolumeClaim of the store: as it is meant, and as it is stored."""

from dataclasses import dataclass, field

from hipbmm_operator.api.spec import Claim
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A claim as the API server has it. `modes` are those of the bound volume, `asked_modes` those of the claim."""

    meta: Metadata = field(default_factory=Metadata)
    phase: str = ""
    modes: tuple[str, ...] = ()
    asked_modes: tuple[str, ...] = ()
    storage_class: str | None = None
    size: str = ""

    @property
    def usable_modes(self) -> tuple[str, ...]:
        """Access modes of the bound volume, else of the claim."""
        return self.modes or self.asked_modes


def name(owner_name: str, claim: Claim) -> str | None:
    """Name of the claim that pods mount; None when no volume is wanted."""
    if claim.claim_name:
        return claim.claim_name
    return names.child(owner_name, "store") if claim.create else None


def build(owner: Metadata, claim: Claim) -> Json:
    """The claim. A retained one has no owner, so it outlives the resource."""
    metadata = owner.of_child(name(owner.name, claim) or "", owned=not claim.retain)
    spec: Json = {
        "accessModes": sorted(claim.access_modes),
        "resources": {"requests": {"storage": str(claim.size)}},
    }
    if claim.storage_class_name is not None:
        spec["storageClassName"] = claim.storage_class_name
    return kinds.CLAIM.body(metadata, spec=spec)
