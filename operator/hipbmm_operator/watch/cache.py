"""The watched objects in memory, fed by watch events and corrected by lists.

A list replaces: what it does not hold is gone, even when its DELETED event was lost. What was put after the list began
is newer than the list and stays. An object that was deleted never comes back: the answer to a write of it may
arrive after its DELETED event, and no event would take it away again.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata, as_object
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.watch.pruning import CachedObject

_DELETED_KEPT = 4096
"""UIDs of deleted objects that are remembered: more than there are writes under way at any time."""


class _Entry(NamedTuple):
    packed: CachedObject
    touched: int
    owner: NamespacedName | None


class Store:
    """All watched objects, by kind, and by the resource that they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[NamespacedName, _Entry]] = defaultdict(dict)
        self._owned: dict[NamespacedName, set[tuple[Kind, NamespacedName]]] = defaultdict(set)
        self._clock = 0
        self._gone: dict[tuple[Kind, NamespacedName], int] = {}
        self._lists = 0
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def put(self, kind: Kind, packed: CachedObject, owner: NamespacedName | None) -> bool:
        """Keep an object. False when nothing that is kept has changed but its resourceVersion."""
        at = NamespacedName(packed.namespace, packed.name)
        before = self._objects[kind].get(at)
        if packed.uid in self._deleted or (before is not None and older(packed, before.packed)):
            return False
        self._set(kind, at, _Entry(packed, self._tick(), owner))
        return not packed.same(before.packed if before else None)

    def remove(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Forget an object, unless another of the same name has taken its place."""
        at = NamespacedName(namespace, name)
        entry = self._objects[kind].get(at)
        if entry is not None and entry.packed.uid in (uid, ""):
            self._drop(kind, at)
        if self._lists:
            self._gone[kind, at] = self._tick()
        if uid:
            self._deleted[uid] = None
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
        self,
        kind: Kind,
        listed: AbstractSet[NamespacedName],
        found: Iterable[tuple[CachedObject, NamespacedName | None]],
        began: int,
        namespace: str = "",
        resource_version: str = "",
    ) -> list[NamespacedName | None]:
        """Take over a complete list (of one namespace, or all) begun at `began`; owners of what changed by it.

        `listed` are all names; `found` are the objects that the cache lacked and that were read after the list.
        `resource_version` is the list's own: an object that is newer is not gone, the list is stale.
        """
        changed: list[NamespacedName | None] = []
        for packed, owner in found:
            at = NamespacedName(packed.namespace, packed.name)
            before = self._objects[kind].get(at)
            if self._gone.get((kind, at), 0) > began:
                continue
            if before is not None and (before.touched > began or older(packed, before.packed)):
                continue
            if not packed.same(before.packed if before else None):
                changed.append(owner)
            self._set(kind, at, _Entry(packed, self._tick(), owner))
        for at, entry in list(self._objects[kind].items()):
            unseen = namespace in ("", at.namespace) and at not in listed and entry.touched <= began
            if unseen and not _newer(entry.packed.resource_version, resource_version):
                self._drop(kind, at)
                changed.append(entry.owner)
        return changed

    def lacks(self, kind: Kind, listed: Metadata, began: int) -> bool:
        """Whether an object of a list begun at `began` is neither here, that old or newer, nor deleted since."""
        at = NamespacedName(listed.namespace, listed.name)
        if self._gone.get((kind, at), 0) > began:
            return False
        entry = self._objects[kind].get(at)
        if entry is None or entry.packed.uid != listed.uid:
            return True
        version = entry.packed.resource_version
        return version != listed.resource_version and not _newer(version, listed.resource_version)

    def get(self, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        """One object."""
        entry = self._objects[kind].get(NamespacedName(namespace, name))
        return entry.packed if entry else None

    def all(self, kind: Kind) -> Iterator[CachedObject]:
        """All objects of a kind."""
        return (entry.packed for entry in self._objects[kind].values())

    def count(self, kind: Kind) -> int:
        """Number of objects of a kind."""
        return len(self._objects[kind])

    def resources(self) -> list[NamespacedName]:
        """Keys of all resources of ours."""
        return sorted(self._objects[kinds.HIPBMM_DEPLOYMENT])

    def owned(self, owner: NamespacedName, kind: Kind) -> list[CachedObject]:
        """Objects of a kind that belong to a resource, by name."""
        found = [self._objects[kind][at].packed for of, at in self._owned.get(owner, ()) if of == kind]
        return sorted(found, key=lambda packed: packed.name)

    def _set(self, kind: Kind, at: NamespacedName, entry: _Entry) -> None:
        self._drop(kind, at)
        self._objects[kind][at] = entry
        if entry.owner is not None:
            self._owned[entry.owner].add((kind, at))

    def _drop(self, kind: Kind, at: NamespacedName) -> None:
        entry = self._objects[kind].pop(at, None)
        if entry is not None and entry.owner is not None:
            self._owned[entry.owner].discard((kind, at))
            if not self._owned[entry.owner]:
                del self._owned[entry.owner]

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def older(one: CachedObject, other: CachedObject) -> bool:
    """Whether `one` is a former state of the same object (resourceVersions are ordered numbers)."""
    return one.uid == other.uid and _newer(other.resource_version, one.resource_version)


def _newer(one: str, other: str) -> bool:
    return one.isdigit() and other.isdigit() and int(one) > int(other)


def owner_of(kind: Kind, body: Json) -> NamespacedName | None:
    """The resource that a watched object belongs to, from its annotation; a resource of ours belongs to itself."""
    metadata = as_object(body.get("metadata"))
    namespace = str(metadata.get("namespace", ""))
    if kind == kinds.HIPBMM_DEPLOYMENT:
        return NamespacedName(namespace, str(metadata.get("name", "")))
    name = as_object(metadata.get("annotations")).get(names.ANNOTATION_DEPLOYMENT)
    return NamespacedName(namespace, str(name)) if name and namespace else None
