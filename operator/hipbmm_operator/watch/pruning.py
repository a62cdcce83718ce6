"""What is kept of a watched object: only the parts that decisions read, so that 10,000 pods fit into memory. Pure."""

import zlib
from collections.abc import Mapping
from types import EllipsisType
from typing import Any, Final

from hipbmm_operator.kube import json_text, kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName, as_object, as_objects, object_at
from hipbmm_operator.mirror import content

_Shape = Any  # EllipsisType | tuple[str, ...] | list[tuple[str, ...]] | Mapping[str, "_Shape"]
"""What to keep of a value: all of it, these keys of it, by key a shape of its own, or these keys of each entry."""

_METADATA: Final = dict.fromkeys(
    (
        *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
        *("labels", "annotations", "ownerReferences"),
    ),
    ...,
)
_OF_PODS: Final = {
    "labels": (names.LABEL_DEPLOYMENT, "pod-template-hash"),
    "annotations": (names.ANNOTATION_DEPLOYMENT, names.ANNOTATION_REVISION),
}
_NOISY_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
_CONDITIONS: Final = [("type", "status", "reason", "message", "lastTransitionTime")]
_CONTAINERS: Final = [("name", "ready", "started", "restartCount", "state", "lastState")]
_WHOLE: Final = {"metadata": _METADATA, "spec": ..., "status": ...}
_KEPT: Final[Mapping[Kind, Mapping[str, _Shape]]] = {
    kinds.HIPBMM_DEPLOYMENT: _WHOLE,
    # Without its counts: pods are counted themselves, and each count would be a change.
    kinds.DEPLOYMENT: {
        "metadata": _METADATA,
        "spec": ...,
        "status": {"observedGeneration": ..., "conditions": _CONDITIONS},
    },
    kinds.SERVICE: _WHOLE,
    kinds.CLAIM: {"metadata": _METADATA, "spec": ..., "status": ("phase", "accessModes", "capacity", "conditions")},
    kinds.CONTROLLER_REVISION: {"metadata": _METADATA, "revision": ..., "data": ...},
    kinds.BUDGET: _WHOLE,
    kinds.CONFIG_MAP: {"metadata": _METADATA},
    kinds.POD: {
        "metadata": _METADATA | _OF_PODS,
        "spec": ("nodeName", "schedulerName", "schedulingGates"),
        "status": {
            "phase": ...,
            "reason": ...,
            "message": ...,
            "startTime": ...,
            "conditions": _CONDITIONS,
            "initContainerStatuses": _CONTAINERS,
            "containerStatuses": _CONTAINERS,
        },
    },
    # Without what changes with each heartbeat.
    kinds.NODE: {
        "metadata": ("name", "uid", "resourceVersion", "deletionTimestamp", "labels"),
        "spec": ("taints", "unschedulable"),
        "status": {
            "capacity": ...,
            "allocatable": ...,
            "conditions": [("type", "status")],
            "nodeInfo": ("kubeletVersion",),
        },
    },
    kinds.RESOURCE_SLICES[0]: {"metadata": ("name",), "spec": ...},
    # Of all that NFD finds, half a megabyte as dictionaries.
    kinds.NODE_FEATURE: {
        "metadata": ("name", "labels"),
        "spec": {"features": {"instances": {"pci.device": ...}}},
    },
}
_LEVEL: Final = 1
"""Of zlib: a third of the text is left, and 8 kB take less than 0.1 ms."""


class CachedObject:
    """The kept parts of one object, as compressed JSON: 8 kB of a pod template are 60 kB as dictionaries.

    The resourceVersion is kept aside, so that two states that differ in nothing else are equal byte by byte. `owner` is
    the resource that the object belongs to, by its annotation; a resource and a node belong to themselves.
    """

    __slots__ = ("at", "data", "owner", "resource_version", "uid")

    def __init__(self, kind: Kind, body: Json) -> None:
        about = as_object(body.get("metadata"))
        self.at = NamespacedName(str(about.get("namespace", "")), str(about.get("name", "")))
        self.uid = str(about.get("uid", ""))
        self.resource_version = str(about.get("resourceVersion", ""))
        of = str(object_at(about, "annotations").get(names.ANNOTATION_DEPLOYMENT) or "")
        named = NamespacedName(self.at.namespace, of) if of and self.at.namespace else None
        self.owner = self.at if kind in (kinds.HIPBMM_DEPLOYMENT, kinds.NODE) else named
        text = json_text.dumps(body | {"metadata": {k: v for k, v in about.items() if k != "resourceVersion"}})
        self.data = zlib.compress(text, _LEVEL)

    def body(self) -> Json:
        """The object as a dictionary of its own."""
        answer = self.kept()
        answer["metadata"]["resourceVersion"] = self.resource_version
        return answer

    def is_version_of(self, body: Json) -> bool:
        """Whether `body` is this object in this very version."""
        about = as_object(body.get("metadata"))
        return (self.uid, self.resource_version) == (about.get("uid"), about.get("resourceVersion"))

    def same(self, other: "CachedObject | None") -> bool:
        """Whether nothing that is kept differs, except the resourceVersion."""
        return other is not None and self.data == other.data

    def same_but_status(self, other: "CachedObject") -> bool:
        """The same for an object whose status the operator writes itself."""
        return self.kept() | {"status": None} == other.kept() | {"status": None}

    def kept(self) -> Json:
        """The object without its resourceVersion."""
        kept: Json = json_text.loads(zlib.decompress(self.data))
        return kept


def prune(kind: Kind, body: Json) -> CachedObject:
    """The kept parts of a watched object."""
    kept = _keep(body, _KEPT[kind])
    object_at(kept, "metadata", "annotations").pop(_NOISY_ANNOTATION, None)
    if kind == kinds.CONFIG_MAP:
        kept["content"] = content.summary(body)  # of a mirror only what it holds, not the rows themselves
    return CachedObject(kind, kept)


def newer(one: str, other: str) -> bool:
    """Whether one resourceVersion is later than another: they are ordered numbers."""
    return one.isdigit() and other.isdigit() and int(one) > int(other)


def _keep(value: object, shape: _Shape) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(shape, EllipsisType):
        return dict(value) if isinstance(value, dict) else value
    if isinstance(shape, list):
        return [_keep(entry, shape[0]) for entry in as_objects(value)]
    shapes = shape if isinstance(shape, Mapping) else dict.fromkeys(shape, ...)
    return {key: _keep(value[key], shapes[key]) for key in shapes if key in value} if isinstance(value, dict) else {}
