"""One HipbmmDeployment as parsed from the API server. Raw bodies end here."""

from dataclasses import dataclass

from pydantic import ValidationError

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner

_MAX_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Resource:
    """A HipbmmDeployment."""

    owner: Owner
    generation: int
    deleting: bool
    roll_forward: str
    raw_spec: Json
    raw_status: Json


def parse(body: Json) -> Resource:
    """A resource from its object; its spec is parsed by `parse_spec`."""
    metadata = body.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    spec, status = body.get("spec"), body.get("status")
    return Resource(
        owner=Owner(str(metadata["namespace"]), str(metadata["name"]), str(metadata["uid"])),
        generation=int(metadata.get("generation", 0)),
        deleting=bool(metadata.get("deletionTimestamp")),
        roll_forward=str(annotations.get(names.ANNOTATION_ROLL_FORWARD, "")),
        raw_spec=spec if isinstance(spec, dict) else {},
        raw_status=status if isinstance(status, dict) else {},
    )


def parse_spec(raw: Json) -> Spec | str:
    """The typed spec, or what is wrong with it (field and value), when an older or newer CRD let it through."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        parts = []
        for entry in error.errors(include_url=False)[:_MAX_ERRORS]:
            field = ".".join(str(part) for part in ("spec", *entry["loc"]))
            parts.append(f"{field}: {entry['msg']}, not {entry['input']!r:.100}")
        return "; ".join(parts)
