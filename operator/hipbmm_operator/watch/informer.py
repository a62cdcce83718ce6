"""From watch events and lists to the store, the node book and the queue."""

import asyncio
import logging
import random
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable

from hipbmm_operator.detect import node_of_feature, node_of_slice
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import WATCHED, Kind
from hipbmm_operator.kube.metadata import as_object
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import Store, owner_of
from hipbmm_operator.watch.node_cache import NodeBook
from hipbmm_operator.watch.packed import Packed
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.workqueue.queue import Queue

LOG = logging.getLogger(__name__)


Listed = tuple[list[tuple[Packed, NamespacedName | None]], str]
"""What is kept of the objects of a list, whose they are, and the list's resourceVersion."""

_NODE_SECONDS = 1.0
"""Changes of nodes come in groups: resources are looked at once for all of them."""
_SPREAD = 0.85
"""Share of the interval of resyncs over which the looks at all resources are spread: over before the next begins."""
_WHOLE_OBJECTS = 100
"""At most so many on a page of whole objects: one has 30 kB of text, and ten times that when it is read."""
_SOON_SECONDS = 10.0
"""The same after an interruption: what failed meanwhile waits for its next retry no longer than this."""


class Informer:
    """Keeps store and node book true, and asks for reconciles of what changed."""

    def __init__(
        self, kube: Kube, store: Store, nodes: NodeBook, queue: Queue, settings: Settings, rights: Rights
    ) -> None:
        self._kube = kube
        self._store = store
        self._nodes = nodes
        self._queue = queue
        self._settings = settings
        self._rights = rights
        self._whole_objects = min(settings.page_size, _WHOLE_OBJECTS)
        self._asked = asyncio.Event()

    def take(self, kind: Kind, event: str | None, body: Json) -> None:
        """One watch event."""
        metrics.WATCH_EVENTS.labels(kind.plural).inc()
        metrics.WATCH_EVENT_LAST.labels(kind.plural).set_to_current_time()
        if kind == kinds.NODE:
            self._take_node(event, body)
            return
        metadata = as_object(body.get("metadata"))
        owner = owner_of(kind, body)
        if event == "DELETED":
            namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
            self._store.remove(kind, namespace, name, str(metadata.get("uid", "")))
        elif not self._put(kind, body, owner):
            return
        if owner is None:
            return
        if kind == kinds.HIPBMM_DEPLOYMENT:
            self._queue.add(owner, urgent=True)
        else:
            self._queue.add(owner, self._settings.debounce_seconds)

    def saw(self, kind: Kind, body: Json) -> None:
        """An object as the API server answered to a write of ours: known already when its event comes.

        What somebody else has changed just before is in the answer as well, and then no event is news of it.
        """
        if kind not in WATCHED:
            return
        owner, before = owner_of(kind, body), self._before(kind, body)
        self._put(kind, body, owner)
        if owner is None or before is None:
            return
        if kind != kinds.HIPBMM_DEPLOYMENT:
            self._queue.add(owner, self._settings.debounce_seconds)
        elif (after := self._before(kind, body)) is not None and not after.same_but_status(before):
            self._queue.add(owner, urgent=True)

    def _put(self, kind: Kind, body: Json, owner: NamespacedName | None) -> bool:
        """Keep an object; False for the event of a write of ours, whose answer is known already."""
        packed, known = self._packed(kind, body)
        return not known and self._store.put(kind, packed, owner)

    def _packed(self, kind: Kind, body: Json) -> tuple[Packed, bool]:
        """What is kept of an object, and whether it is kept already."""
        before = self._before(kind, body)
        if before is not None and _same_version(before, body):
            return before, True
        return prune(kind, body, before), False

    def _before(self, kind: Kind, body: Json) -> Packed | None:
        metadata = as_object(body.get("metadata"))
        return self._store.get(kind, str(metadata.get("namespace", "")), str(metadata.get("name", "")))

    async def resync(self, within: float) -> None:
        """List everything, drop what is gone, and look at all resources again in so many seconds. Raises ApiError.

        What may not be listed is kept as it was.
        """
        self._asked.clear()
        changed: set[NamespacedName | None] = set()
        for kind in WATCHED:
            if kind == kinds.NODE:
                await self._list_extras()
                await self._list_nodes()
                continue
            for namespace in self._settings.namespaces or ("",):
                if self._rights.may(kind, namespace):
                    changed |= set(await self._list(kind, namespace))
            metrics.OBJECTS.labels(kind.plural).set(self._store.count(kind))
        metrics.OBJECTS.labels(kinds.NODE.plural).set(self._nodes.count())
        for key in changed - {None}:
            if key is not None:
                self._queue.add(key)
        self._look_at_all(within)

    def ask_for_resync(self) -> None:
        """Resync now: the watches began anew, or the API server was away. One that runs already comes too early."""
        self._asked.set()

    async def resync_forever(self) -> None:
        """Resync at the settings' interval, jittered, and when it is asked for; a failure is tried again soon."""
        while True:
            share = random.uniform(0.9, 1.1)  # noqa: S311  # spreads load, is no secret
            within = _SOON_SECONDS
            try:
                async with asyncio.timeout(self._settings.resync_seconds * share):
                    await self._asked.wait()
            except TimeoutError:
                within = self._settings.resync_seconds * _SPREAD
            await self.resync_until_done(within)

    async def resync_until_done(self, within: float = _SOON_SECONDS) -> None:
        """Resync; retried until it succeeds."""
        pause = 1.0
        while True:
            try:
                await self.resync(within)
            except errors.ApiError as error:
                LOG.warning("Resync failed: %s", error)
                await asyncio.sleep((error.retry_after or 0) + random.uniform(0.1, pause))  # noqa: S311  # jitter
                pause = min(_SOON_SECONDS, pause * 2)
            else:
                return

    def _look_at_all(self, within: float) -> None:
        for key in self._store.resources():
            # Each has its own moment, the same after each resync: never much more than an interval apart.
            moment = (zlib.crc32("/".join(key).encode()) + 1) / 2**32
            self._queue.add(key, within * moment)

    def _take_node(self, event: str | None, body: Json) -> None:
        name = str(as_object(body.get("metadata")).get("name", ""))
        changed = self._nodes.remove(name) if event == "DELETED" else self._nodes.put(body, time.monotonic())
        if changed:
            self._ask_all()

    def _ask_all(self) -> None:
        for key in self._store.resources():
            self._queue.add(key, _NODE_SECONDS)

    async def _list(self, kind: Kind, namespace: str) -> Iterable[NamespacedName | None]:
        selector = "" if kind == kinds.HIPBMM_DEPLOYMENT else names.MANAGED_SELECTOR
        began = self._store.begin()
        try:
            # Nearly always nothing has changed, and metadata are a tenth of whole objects.
            listed = await self._unchanged(kind, namespace, selector) if self._store.count(kind) else None
            objects, version = listed or await self._whole(kind, namespace, selector)
            return self._store.replace(kind, objects, began, namespace, version)
        finally:
            self._store.end()

    async def _unchanged(self, kind: Kind, namespace: str, selector: str) -> Listed | None:
        """The list, when every object of it is kept in this very version; else None."""
        known: list[tuple[Packed, NamespacedName | None]] = []
        version = ""
        async for page in self._kube.pages(kind, namespace, selector, self._settings.page_size, metadata_only=True):
            for body in page.items:
                packed = self._before(kind, body)
                if packed is None or not _same_version(packed, body):
                    return None
                known.append((packed, owner_of(kind, body)))
            version = page.resource_version
        return known, version

    async def _whole(self, kind: Kind, namespace: str, selector: str) -> Listed:
        found: list[tuple[Packed, NamespacedName | None]] = []
        version = ""
        async for page in self._kube.pages(kind, namespace, selector, self._whole_objects):
            found += [(self._packed(kind, body)[0], owner_of(kind, body)) for body in page.items]
            version = page.resource_version
        return found, version

    async def _list_extras(self) -> None:
        """What DRA and NFD publish about nodes. An API that is absent, or may not be read, says nothing."""
        slices: dict[str, list[Json]] = defaultdict(list)
        for body in await self._first_served(kinds.RESOURCE_SLICES):
            slices[node_of_slice(body)].append(body)
        features: dict[str, list[Json]] = defaultdict(list)
        for body in await self._first_served((kinds.NODE_FEATURE,)):
            features[node_of_feature(body)].append(body)
        self._nodes.attach(slices, features)

    async def _first_served(self, versions: Iterable[Kind]) -> list[Json]:
        """All objects of the first of these versions that the API server has."""
        for kind in versions:
            found: list[Json] = []
            try:
                async for page in self._kube.pages(kind, size=self._whole_objects):
                    found += page.items
            except (errors.NotFoundError, errors.ForbiddenError):
                continue
            return found
        return []

    async def _list_nodes(self) -> None:
        """Nodes are optional: an operator of single namespaces may not be allowed to read them."""
        began, found, changed = self._nodes.begin(), set(), False
        try:
            async for page in self._kube.pages(kinds.NODE, size=self._whole_objects):
                for body in page.items:
                    found.add(str(body["metadata"]["name"]))
                    changed |= self._nodes.put(body, time.monotonic())
        except errors.ForbiddenError:
            self._nodes.readable = False
            return
        self._nodes.readable = True
        gone = self._nodes.keep_only(found, began)
        if changed or gone or self._nodes.refresh(time.monotonic()):
            self._ask_all()


def _same_version(packed: Packed, body: Json) -> bool:
    """Whether what is kept is of this very version of the object."""
    metadata = as_object(body.get("metadata"))
    return (packed.uid, packed.resource_version) == (metadata.get("uid"), metadata.get("resourceVersion"))
