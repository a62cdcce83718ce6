"""The watched objects in memory, fed by watch events and corrected by lists.

A list replaces: what it does not hold is gone, even when its DELETED event was lost. What was put after the list began
is newer than the list and stays. A state from before a DELETED event never comes back: the answer to a write may arrive
after it, and no event would take the object away again. A later state does: an object whose labels are not the
selector's any more is DELETED to a watch, too, until it has them again.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.watch.pruning import CachedObject, newer

_DELETED_KEPT = 4096
"""Deleted objects that are remembered: more than there are writes under way at any time."""


class _Entry(NamedTuple):
    packed: CachedObject
    touched: int


class Store:
    """All watched objects, by kind, and by the resource that they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[NamespacedName, _Entry]] = defaultdict(dict)
        self._owned: dict[NamespacedName, set[tuple[Kind, NamespacedName]]] = defaultdict(set)
        self._clock = 0
        self._gone: dict[tuple[Kind, NamespacedName], int] = {}
        self._lists = 0
        self._deleted: OrderedDict[str, str] = OrderedDict()
        """By UID the resourceVersion of the deletion, "" when it was seen without an event."""

    def put(self, kind: Kind, packed: CachedObject) -> bool:
        """Keep an object. False when nothing that is kept has changed but its resourceVersion."""
        entry = self._objects[kind].get(packed.at)
        before = entry.packed if entry else None
        deleted = self._deleted.get(packed.uid)
        ghost = deleted is not None and not newer(packed.resource_version, deleted)
        if ghost or (before is not None and packed.is_older_than(before)):
            return False
        self._set(kind, packed)
        return not packed.same(before)

    def remove(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        """Forget an object, unless another of the same name has taken its place.

        `resource_version` is that of the DELETED event.
        """
        at = NamespacedName(namespace, name)
        entry = self._objects[kind].get(at)
        if entry is not None and entry.packed.uid in (uid, ""):
            self._drop(kind, at)
        if self._lists:
            self._gone[kind, at] = self._tick()
        if uid:
            self._deleted[uid] = resource_version
            if len(self._deleted) > _DELETED_KEPT:
                self._deleted.popitem(last=False)

    def begin(self) -> int:
        """Start of a list; give the answer to `replace`."""
        self._lists += 1
        return self._tick()

    def end(self) -> None:
        """End of a list that `replace` did or did not follow."""
        self._lists -= 1
        if not self._lists:
            self._gone.clear()

    def replace(
        self, kind: Kind, listed: Iterable[CachedObject], began: int, namespace: str = "", resource_version: str = ""
    ) -> list[CachedObject]:
        """Take over a complete list (of one namespace, or all) begun at `began`; what changed by it, or is gone.

        `resource_version` is the list's own: an object that is newer is not gone, the list is stale.
        """
        changed, found = [], set()
        for packed in listed:
            found.add(packed.at)
            entry = self._objects[kind].get(packed.at)
            if self._gone.get((kind, packed.at), 0) > began or (entry is not None and entry.touched > began):
                continue
            if self.put(kind, packed):
                changed.append(packed)
        for at, entry in list(self._objects[kind].items()):
            unseen = namespace in ("", at.namespace) and at not in found and entry.touched <= began
            if unseen and not newer(entry.packed.resource_version, resource_version):
                self._drop(kind, at)
                changed.append(entry.packed)
        return changed

    def get(self, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        """One object."""
        entry = self._objects[kind].get(NamespacedName(namespace, name))
        return entry.packed if entry else None

    def count(self, kind: Kind) -> int:
        """Number of objects of a kind."""
        return len(self._objects[kind])

    def resources(self) -> list[NamespacedName]:
        """Keys of all resources of ours."""
        return sorted(self._objects[kinds.HIPBMM_DEPLOYMENT])

    def owned(self, owner: NamespacedName, kind: Kind) -> list[CachedObject]:
        """Objects of a kind that belong to a resource, by name."""
        found = [self._objects[kind][at].packed for of, at in self._owned.get(owner, ()) if of == kind]
        return sorted(found, key=lambda packed: packed.at.name)

    def _set(self, kind: Kind, packed: CachedObject) -> None:
        self._drop(kind, packed.at)
        self._objects[kind][packed.at] = _Entry(packed, self._tick())
        if packed.owner is not None:
            self._owned[packed.owner].add((kind, packed.at))

    def _drop(self, kind: Kind, at: NamespacedName) -> None:
        entry = self._objects[kind].pop(at, None)
        if entry is not None and entry.packed.owner is not None:
            self._owned[entry.packed.owner].discard((kind, at))
            if not self._owned[entry.packed.owner]:
                del self._owned[entry.packed.owner]

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
