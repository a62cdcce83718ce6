"""The ControllerRevision that stores one rendered pod template."""

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
