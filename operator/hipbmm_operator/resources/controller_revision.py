"""TODO: what hipbmm_operator.resources.controller_revision is."""

from dataclasses import dataclass

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner


@dataclass(frozen=True, slots=True)
class Revision:
    """A stored template."""

    name: str
    number: int
    contents: tuple[str, ...]
    template: Json
    uid: str = ""
    resource_version: str = ""


def parse(body: Json) -> Revision | None:
    """A revision from a ControllerRevision; None when it is none of ours."""
    metadata, data = body.get("metadata") or {}, body.get("data") or {}
    template = data.get("template") if isinstance(data, dict) else None
    if not isinstance(template, dict):
        return None
    contents = str((metadata.get("annotations") or {}).get(names.ANNOTATION_CONTENT, ""))
    return Revision(
        name=str(metadata.get("name", "")),
        number=int(body.get("revision") or 0),
        contents=tuple(part for part in contents.split(",") if part),
        template=template,
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
    )


def build(owner: Owner, revision: Revision) -> Json:
    """The ControllerRevision."""
    metadata = owner.metadata()
    metadata["name"] = revision.name
    metadata["annotations"][names.ANNOTATION_CONTENT] = ",".join(revision.contents)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "revision": revision.number,
        "data": {"template": revision.template},
    }
