"""The writes that a plan is made of: server-side apply, create, merge, delete. Pure."""

from dataclasses import dataclass
from typing import Literal, Self

from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Step:
    """One write. `apply`: server-side apply. `create`: only if absent. `merge`: a JSON merge patch of that uid."""

    mode: Literal["apply", "create", "merge"]
    kind: Kind
    body: Json


@dataclass(frozen=True, slots=True)
class Deletion:
    """One object to delete, exactly that one in exactly that state."""

    kind: Kind
    name: str
    uid: str
    resource_version: str

    @classmethod
    def of(cls, kind: Kind, meta: Metadata) -> Self:
        """The deletion of an object that was seen."""
        return cls(kind, meta.name, meta.uid, meta.resource_version)
