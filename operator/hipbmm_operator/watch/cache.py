"""The watched objects in memory, fed by watch events and corrected by lists.

All are ordered by resourceVersion, whatever comes first. A list replaces: what it does not hold is gone, even when its
DELETED event was lost; what is newer than the list stays. A state from before a DELETED event never comes back: the
answer to a write may arrive after it, and no event would take the object away again. A later state does: an object
whose labels are not the selector's any more is DELETED to a watch, too, until it has them again. An API server that was
restored from a backup counts anew from there: the next list shows it, and then counts more than all that was known.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.watch.pruning import CachedObject, newer

_DELETED_KEPT = 4096
"""Deleted objects of a kind that are remembered: more than have a write under way, or go while a list is read."""


class ObjectCache:
    """All watched objects, by kind, and by the resource that they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[NamespacedName, CachedObject]] = defaultdict(dict)
        self._owned: dict[NamespacedName, set[tuple[Kind, NamespacedName]]] = defaultdict(set)
        self._deleted: dict[Kind, OrderedDict[str, str]] = defaultdict(OrderedDict)
        """By UID the resourceVersion of the deletion, "" when it was seen without an event."""
        self._listed: dict[tuple[Kind, str], str] = {}
        """By kind and namespace the resourceVersion of the last list."""

    def put(self, kind: Kind, packed: CachedObject, of_list: str | None = None) -> list[NamespacedName]:
        """Keep an object; whose it is, and whose it was, unless nothing has changed but its resourceVersion.

        `of_list` is the version of the list that has it: so late it was still so.
        """
        version = packed.resource_version if of_list is None else of_list
        before = self._objects[kind].get(packed.at)
        deleted = self._deleted[kind].get(packed.uid)
        ghost = deleted is not None and not newer(version, deleted)
        if ghost or (before is not None and newer(before.resource_version, version)):
            return []
        self._drop(kind, packed.at)
        self._objects[kind][packed.at] = packed
        if packed.owner is not None:
            self._owned[packed.owner].add((kind, packed.at))
        states = () if packed.same(before) else (packed, before)
        return [state.owner for state in states if state is not None and state.owner is not None]

    def remove(
        self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = ""
    ) -> list[NamespacedName]:
        """Forget an object, unless another of the same name has taken its place; whose it was.

        `resource_version` is that of the DELETED event. What is kept from before that is gone as well: it is an
        earlier object of the name, whose own DELETED event was lost.
        """
        at = NamespacedName(namespace, name)
        packed = self._objects[kind].get(at)
        gone = packed is not None and (packed.uid in (uid, "") or newer(resource_version, packed.resource_version))
        if uid:
            deleted = self._deleted[kind]
            deleted[uid] = resource_version
            if len(deleted) > _DELETED_KEPT:
                deleted.popitem(last=False)
        return self._drop(kind, at) if gone else []

    def replace(
        self, kind: Kind, listed: Iterable[CachedObject], resource_version: str, namespace: str = ""
    ) -> list[NamespacedName]:
        """Take over a complete list (of one namespace, or all) of that version; whose is what it changes."""
        found = {packed.at: packed for packed in listed}
        before, self._listed[kind, namespace] = self._listed.get((kind, namespace), ""), resource_version
        if newer(before, resource_version):
            self._deleted[kind].clear()
            resource_version = ""  # nothing that is known is newer
        concerned = [owner for packed in found.values() for owner in self.put(kind, packed, resource_version)]
        for at, packed in list(self._objects[kind].items()):
            # What has the name in the list may be another object, which is gone again by now.
            unseen = at not in found or found[at].uid != packed.uid
            if unseen and namespace in ("", at.namespace) and not newer(packed.resource_version, resource_version):
                concerned += self._drop(kind, at)
        return concerned

    def get(self, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        """One object."""
        return self._objects[kind].get(NamespacedName(namespace, name))

    def count(self, kind: Kind) -> int:
        """Number of objects of a kind."""
        return len(self._objects[kind])

    def resources(self) -> list[NamespacedName]:
        """Keys of all resources of ours."""
        return sorted(self._objects[kinds.HIPBMM_DEPLOYMENT])

    def owned(self, owner: NamespacedName, kind: Kind) -> list[CachedObject]:
        """Objects of a kind that belong to a resource, by name."""
        found = [self._objects[kind][at] for of, at in self._owned.get(owner, ()) if of == kind]
        return sorted(found, key=lambda packed: packed.at.name)

    def _drop(self, kind: Kind, at: NamespacedName) -> list[NamespacedName]:
        """Forget an object; whose it was."""
        packed = self._objects[kind].pop(at, None)
        if packed is None or packed.owner is None:
            return []
        self._owned[packed.owner].discard((kind, at))
        if not self._owned[packed.owner]:
            del self._owned[packed.owner]
        return [packed.owner]
