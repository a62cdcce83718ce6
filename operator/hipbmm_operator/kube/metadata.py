"""The metadata of an object of the API, parsed once, whose the object is, and the metadata of its children. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT
from hipbmm_operator.kube.times import moment


class NamespacedName(NamedTuple):
    """Namespace and name of a resource of ours, as controller-runtime calls it: the unit of work."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """Absent fields are empty; `owners` are the ownerReferences as they are stored."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    created: datetime | None = None
    deleting: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[Json, ...] = ()

    def of_child(self, name: str = "", *, owned: bool = True) -> Json:
        """Metadata of a child of this HipbmmDeployment, by default of its own name.

        One without an owner has no label by which another tool (Argo CD) finds its objects.
        """
        metadata: Json = {
            "name": name or names.child(self.name),
            "namespace": self.namespace,
            "labels": names.labels(self.name),
            "annotations": {names.ANNOTATION_DEPLOYMENT: self.name},
        }
        if owned:
            reference = HIPBMM_DEPLOYMENT.reference(self.name, self.uid)
            metadata["ownerReferences"] = [{**reference, "controller": True, "blockOwnerDeletion": True}]
        else:
            del metadata["labels"][names.LABEL_INSTANCE]
        return metadata

    def owned_by(self, owner: "Metadata") -> bool:
        """Whether the object is a child of exactly this resource."""
        return any(reference.get("uid") == owner.uid for reference in self.owners)

    def made_for(self, owner: "Metadata") -> bool:
        """Whether the operator made the object for a resource of this name: a retained claim has no owner."""
        managed = self.labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER
        return managed and self.annotations.get(names.ANNOTATION_DEPLOYMENT) == owner.name

    def writable_for(self, owner: "Metadata") -> bool:
        """Whether a child may be written: it is of this resource, or was and has lost its owner (an orphaned one)."""
        return self.owned_by(owner) or (not self.owners and self.made_for(owner))


def parse(body: Mapping[str, Any]) -> Metadata:
    """The metadata of an object as the API server sent it; a field of the wrong type counts as absent."""
    metadata = as_object(body.get("metadata"))
    generation = metadata.get("generation")
    return Metadata(
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=generation if isinstance(generation, int) else 0,
        created=moment(metadata.get("creationTimestamp")),
        deleting=bool(metadata.get("deletionTimestamp")),
        labels=as_object(metadata.get("labels")),
        annotations=as_object(metadata.get("annotations")),
        owners=tuple(as_objects(metadata.get("ownerReferences"))),
    )


def fulfils(labels: Mapping[str, str], requirement: Json) -> bool:
    """Whether labels fulfil a requirement of a selector: In, NotIn, Exists or DoesNotExist."""
    operator, values = str(requirement.get("operator")), requirement.get("values")
    value = labels.get(str(requirement.get("key")))
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    return (isinstance(values, list) and value in values) == (operator == "In")


def conditions(status: Json) -> dict[str, Json]:
    """The conditions of a status by type."""
    return {str(entry.get("type")): entry for entry in as_objects(status.get("conditions"))}


def as_object(value: object) -> Json:
    """The value when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def object_at(body: object, *path: str) -> Json:
    """The JSON object at a path; an empty one when a part of the path is absent, or is none."""
    for key in path:
        body = as_object(body).get(key)
    return as_object(body)


def as_objects(value: object) -> list[Json]:
    """The JSON objects of a list; of anything else none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def objects_at(body: object, *path: str) -> list[Json]:
    """The JSON objects of the list at a path; none where there is none."""
    return as_objects(object_at(body, *path[:-1]).get(path[-1]))
