"""The cache of nodes: the detection of each, made again when the node changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import LabelKind
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.node_fit import HardwareSummary, Want, summary
from hipbmm_operator.detect.resource_choice import DRA_RESOURCE
from hipbmm_operator.kube import json_text
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import object_at
from hipbmm_operator.watch.pruning import CachedObject

_CACHED_SUMMARIES = 256
ByNode = Mapping[str, Sequence[CachedObject]]


class NodeCache:
    """Detections by node. They are made anew when a kept part of the node has changed, so not by heartbeats."""

    def __init__(self) -> None:
        self.readable = True
        self._detections: dict[str, Detection] = {}
        self._kubelets: dict[str, str] = {}
        self._summaries: dict[bytes, HardwareSummary] = {}
        self._published: dict[str, ByNode] = {"slices": {}, "features": {}}
        self._shown: frozenset[LabelKind] | None = None
        self._extended: Mapping[str, bool] = {}

    def put(self, node: Json, now: float) -> bool:
        """Judge a node as it is now; whether anything about it has changed. `now`: seconds of a steady clock."""
        name = str(object_at(node, "metadata").get("name", ""))
        before = self._detections.get(name)
        previous = before.identity if before else None
        if before is not None and previous is not None and not before.stale:
            # Until this change nothing about the node had changed: its identity was confirmed up to now.
            previous = replace(previous, seen=now)
        slices, features = ([packed.body() for packed in each.get(name, ())] for each in self._published.values())
        found = detect_node(node, slices, features, default_tolerations(), previous, now, extended=self._extended)
        self._detections[name] = found
        self._kubelets[name] = str(object_at(node, "status", "nodeInfo").get("kubeletVersion") or "")
        return (before is None or _essence(before) != _essence(found)) and self._changed()

    def remove(self, name: str) -> bool:
        """Forget a node; whether it was known."""
        self._kubelets.pop(name, None)
        return self._detections.pop(name, None) is not None and self._changed()

    def attach(self, source: Literal["slices", "features"], published: ByNode) -> set[str]:
        """Take over what DRA, or NFD, publishes of the nodes; those that it changes are to be judged anew."""
        before, self._published[source] = self._published[source], published
        return {name for name in {*before, *published} if _texts(before, name) != _texts(published, name)}

    def extend(self, extended: Mapping[str, bool]) -> set[str]:
        """Take over the resources that DRA serves, too; nodes with slices are to be judged anew if these change."""
        before, self._extended = self._extended, extended
        return set() if before == extended else {*self._published["slices"]}

    @property
    def stale(self) -> frozenset[str]:
        """Nodes whose identity outlives its labels: to be judged anew now and then."""
        return frozenset(name for name, found in self._detections.items() if found.stale)

    def kubelets(self) -> list[str] | None:
        """Versions of the kubelets that run pods with AMD GPUs; None when nodes cannot be read.

        Of all nodes where none is known to have a GPU: those that a cluster will add are as old as the others.
        """
        if not self.readable:
            return None
        known = {name: self._kubelets[name] for name, found in self._detections.items() if found.amd}
        return list((known or self._kubelets).values())

    def summary(
        self, spec: Spec, tolerations: Sequence[Json], gpus: int, kinds: frozenset[LabelKind]
    ) -> HardwareSummary | None:
        """How the nodes fit pods whose affinity reads these kinds of label; None when they cannot be read."""
        if not self.readable:
            return None
        resource = DRA_RESOURCE if spec.gpu.device_class_name else spec.gpu.resource_name
        want = Want(tuple(spec.gpu.products or ()), resource, gpus, tuple(tolerations), kinds)
        key = json_text.dumps([want.products, want.resource, gpus, list(tolerations), sorted(kinds)])
        if key not in self._summaries:
            if len(self._summaries) >= _CACHED_SUMMARIES:
                self._summaries.clear()
            self._summaries[key] = summary(self._detections.values(), want)
        return self._summaries[key]

    def shown(self) -> frozenset[LabelKind]:
        """The kinds of label that the nodes show."""
        if self._shown is None:
            self._shown = frozenset().union(*(found.shows for found in self._detections.values()))
        return self._shown

    def _changed(self) -> bool:
        self._summaries.clear()
        self._shown = None
        return True


def _texts(published: ByNode, name: str) -> list[bytes]:
    return [packed.data for packed in published.get(name, ())]


def _essence(detection: Detection) -> Detection:
    """Without what only says when it was found."""
    return replace(detection, identity=None)
