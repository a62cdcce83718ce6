"""The writes that a plan is made of: server-side apply, create, merge, delete. Pure."""

from dataclasses import dataclass
from typing import Literal, Self

from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Step:
    """One write. `apply`: server-side apply. `create`: only if absent. `merge`: a JSON merge patch of that uid.

    `delete`: exactly that object in exactly that state, both of which the body's metadata has.
    """

    mode: Literal["apply", "create", "merge", "delete"]
    kind: Kind
    body: Json

    @classmethod
    def delete(cls, kind: Kind, meta: Metadata) -> Self:
        """The deletion of an object that was seen."""
        seen = {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version}
        return cls("delete", kind, {"metadata": seen})
