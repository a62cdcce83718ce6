"""TODO: what hipbmm_operator.kube.ownership is."""

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner


def owned_by(body: Json | None, owner: Owner) -> bool:
    """Whether an object is a child of exactly this resource."""
    references = ((body or {}).get("metadata") or {}).get("ownerReferences") or []
    return any(reference.get("uid") == owner.uid for reference in references)


def ours(body: Json | None, owner: Owner) -> bool:
    """Whether a child may be written: it is of this resource, or was and has lost its owner (an orphaned one)."""
    references = ((body or {}).get("metadata") or {}).get("ownerReferences") or []
    return owned_by(body, owner) or (not references and made_by_us(body, owner))


def made_by_us(body: Json | None, owner: Owner) -> bool:
    """Whether an object was made for a resource of this name: a retained claim has no owner."""
    metadata = (body or {}).get("metadata") or {}
    managed = (metadata.get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER
    return managed and (metadata.get("annotations") or {}).get(names.ANNOTATION_DEPLOYMENT) == owner.name


def annotation(body: Json | None, key: str) -> str | None:
    """An annotation of an object."""
    value = (((body or {}).get("metadata") or {}).get("annotations") or {}).get(key)
    return str(value) if value is not None else None
