"""What is kept of a watched object: only the parts that decisions read, so that 10,000 pods fit into memory. Pure."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from hipbmm_operator.kube import json_text, kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import as_object
from hipbmm_operator.mirror import content

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
)
_NOISY_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_CONTAINER = ("name", "ready", "started", "restartCount", "state", "lastState")


def _pick(source: object, keys: tuple[str, ...]) -> Json:
    return {key: source[key] for key in keys if key in source} if isinstance(source, Mapping) else {}


def _metadata(body: Json) -> Json:
    metadata = _pick(body.get("metadata"), _METADATA)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        metadata["annotations"] = {key: text for key, text in annotations.items() if key not in _NOISY_ANNOTATIONS}
    return metadata


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(body: Json) -> Json:
    return {"metadata": _metadata(body), "spec": body.get("spec"), "status": body.get("status")}


def _deployment(body: Json) -> Json:
    """A Deployment without its counts: pods are counted themselves, and each count would be a change."""
    conditions = _list(as_object(body.get("status")).get("conditions"))
    kept = [_pick(entry, _CONDITION) for entry in conditions]
    return {"metadata": _metadata(body), "spec": body.get("spec"), "status": {"conditions": kept}}


def _revision(body: Json) -> Json:
    return {"metadata": _metadata(body), "revision": body.get("revision"), "data": body.get("data")}


def _claim(body: Json) -> Json:
    status = _pick(body.get("status"), ("phase", "accessModes", "capacity", "conditions"))
    return {"metadata": _metadata(body), "spec": body.get("spec"), "status": status}


def _config_map(body: Json) -> Json:
    """Of a mirror only what it holds, not the rows themselves."""
    return {"metadata": _metadata(body), "content": content.summary(body)}


def _pod(body: Json) -> Json:
    metadata = _metadata(body)
    metadata["labels"] = _pick(metadata.get("labels"), (names.LABEL_DEPLOYMENT, "pod-template-hash"))
    metadata["annotations"] = _pick(
        metadata.get("annotations"), (names.ANNOTATION_DEPLOYMENT, names.ANNOTATION_REVISION)
    )
    status = as_object(body.get("status"))
    kept = _pick(status, ("phase", "reason", "message", "startTime"))
    kept["conditions"] = [_pick(entry, _CONDITION) for entry in _list(status.get("conditions"))]
    for key in ("initContainerStatuses", "containerStatuses"):
        kept[key] = [_pick(entry, _CONTAINER) for entry in _list(status.get(key))]
    return {"metadata": metadata, "spec": _pick(body.get("spec"), ("nodeName", "schedulingGates")), "status": kept}


_NODE_LABELS = (
    "amd.com/",
    "beta.amd.com/",
    "feature.node.kubernetes.io/",
    "gpu.operator.amd.com/",
    "doks.digitalocean.com/",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/hostname",
    "cloud.google.com/",
    "kubernetes.azure.com/",
    "skypilot.co/",
    names.GROUP + "/",
)


def _node(body: Json) -> Json:
    """A node without its heartbeats: what detection reads, and nothing that changes every minute."""
    metadata = _metadata(body)
    for key in ("labels", "annotations"):
        mine = metadata.get(key)
        kept = {k: v for k, v in mine.items() if k.startswith(_NODE_LABELS)} if isinstance(mine, dict) else {}
        metadata[key] = {k: v for k, v in kept.items() if not k.startswith("feature.node.kubernetes.io/cpu-")}
    spec = _pick(body.get("spec"), ("taints", "unschedulable"))
    status = as_object(body.get("status"))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": {
            "capacity": _amd(status.get("capacity")),
            "allocatable": _amd(status.get("allocatable")),
            "conditions": [
                _pick(entry, ("type", "status"))
                for entry in _list(status.get("conditions"))
                if isinstance(entry, Mapping) and entry.get("type") == "Ready"
            ],
        },
    }


def _amd(resources: object) -> Json:
    return {k: v for k, v in resources.items() if k.startswith("amd.com/")} if isinstance(resources, dict) else {}


_PRUNERS: dict[Kind, Callable[[Json], Json]] = {
    kinds.HIPBMM_DEPLOYMENT: _whole,
    kinds.DEPLOYMENT: _deployment,
    kinds.SERVICE: _whole,
    kinds.CLAIM: _claim,
    kinds.CONTROLLER_REVISION: _revision,
    kinds.BUDGET: _whole,
    kinds.CONFIG_MAP: _config_map,
    kinds.POD: _pod,
    kinds.NODE: _node,
}


_LEVEL = 1
"""Of zlib: a third of the text is left, and 8 kB take less than 0.1 ms."""


class CachedObject:
    """The kept parts of one object, as compressed JSON: 8 kB of a pod template are 60 kB as dictionaries.

    The resourceVersion is kept aside, so that two states that differ in nothing else are equal byte by byte.
    """

    __slots__ = ("data", "name", "namespace", "resource_version", "uid")

    def __init__(self, body: Json) -> None:
        about = as_object(body.get("metadata"))
        self.namespace = str(about.get("namespace", ""))
        self.name = str(about.get("name", ""))
        self.uid = str(about.get("uid", ""))
        self.resource_version = str(about.get("resourceVersion", ""))
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
    return CachedObject(_PRUNERS[kind](body))
