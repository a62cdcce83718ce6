"""What is known of the nodes: a detection each, made anew only when something that detection reads has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect import (
    DRA_RESOURCE,
    Detection,
    HardwareSummary,
    LabelKind,
    Want,
    default_tolerations,
    detect_node,
    fingerprint,
    summary,
)
from hipbmm_operator.kube import json_text
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object

_CACHED_SUMMARIES = 256


class NodeBook:
    """Detections by node. A heartbeat changes no fingerprint and costs one hash."""

    def __init__(self) -> None:
        self.readable = True
        self._marks: dict[str, tuple[str, int]] = {}
        self._detections: dict[str, Detection] = {}
        self._stale: dict[str, Json] = {}
        self._summaries: dict[bytes, HardwareSummary] = {}
        self._extra: dict[str, tuple[Sequence[Json], Sequence[Json]]] = {}
        self._shown: frozenset[LabelKind] | None = None
        self._extended: frozenset[str] = frozenset()
        self._clock = 0

    def put(self, node: Json, now: float) -> bool:
        """Take over a node as it is now; whether anything about it has changed. `now`: seconds of a steady clock."""
        name = str(as_object(node.get("metadata")).get("name", ""))
        mark = fingerprint(node)
        self._clock += 1
        if self._marks.get(name, ("", 0))[0] == mark:
            self._marks[name] = (mark, self._clock)
            return False
        self._marks[name] = (mark, self._clock)
        return self._detect(name, node, now)

    def remove(self, name: str) -> bool:
        """Forget a node."""
        self._marks.pop(name, None)
        self._stale.pop(name, None)
        gone = self._detections.pop(name, None)
        return gone is not None and self._changed()

    def begin(self) -> int:
        """Start of a list; give the answer to `keep_only`."""
        self._clock += 1
        return self._clock

    def keep_only(self, names: set[str], began: int) -> bool:
        """Drop nodes that a complete list, begun at `began`, does not have."""
        gone = [name for name, (_, touched) in self._marks.items() if name not in names and touched <= began]
        removed = [self.remove(name) for name in gone]
        return any(removed)

    def attach(
        self,
        slices: Mapping[str, Sequence[Json]],
        features: Mapping[str, Sequence[Json]],
        extended: frozenset[str] = frozenset(),
    ) -> set[str]:
        """Take over what DRA and NFD publish by node; the nodes for which that changed: judged anew when next seen."""
        changed = set()
        for name in {*self._extra, *slices, *features}:
            extra = (slices.get(name, ()), features.get(name, ()))
            if self._extra.get(name, ((), ())) != extra or (extra[0] and extended != self._extended):
                self._extra[name] = extra
                self._marks.pop(name, None)
                changed.add(name)
        self._extended = extended
        return changed

    def refresh(self, now: float) -> bool:
        """Judge the nodes again whose identity outlives its labels; whether one has changed."""
        changed = [self._detect(name, node, now) for name, node in list(self._stale.items())]
        return any(changed)

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

    def count(self) -> int:
        """Number of nodes."""
        return len(self._detections)

    def _detect(self, name: str, node: Json, now: float) -> bool:
        before = self._detections.get(name)
        previous = before.identity if before else None
        if before is not None and previous is not None and not before.stale:
            # Until this change nothing about the node had changed: its identity was confirmed up to now.
            previous = replace(previous, seen=now)
        slices, features = self._extra.get(name, ((), ()))
        found = detect_node(node, slices, features, default_tolerations(), previous, now, extended=self._extended)
        self._detections[name] = found
        if found.stale:
            self._stale[name] = node
        else:
            self._stale.pop(name, None)
        return (before is None or _essence(before) != _essence(found)) and self._changed()

    def _changed(self) -> bool:
        self._summaries.clear()
        self._shown = None
        return True


def _essence(detection: Detection) -> Detection:
    """Without what only says when it was found."""
    return replace(detection, identity=None)
