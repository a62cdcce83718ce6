"""From watch events and lists to the cache, the node cache and the queue.

Objects come by the watches. A list asks for metadata only, unless nothing is known yet: it says what exists in which
version, so it drops what is gone and finds what the watches have not brought, which is read.
"""

import asyncio
import contextlib
import logging
import random
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable

from hipbmm_operator.detect import DRIVER, extended_resources, node_of_feature, node_of_slice
from hipbmm_operator.kube import errors, kinds, metadata, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import FOLLOWED, RESOURCE_SLICES, WATCHED, Kind
from hipbmm_operator.kube.metadata import as_object
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import Store, owner_of
from hipbmm_operator.watch.node_cache import NodeBook
from hipbmm_operator.watch.pruning import CachedObject, prune
from hipbmm_operator.watch.watches import RELISTED, Event
from hipbmm_operator.workqueue.queue import Queue

LOG = logging.getLogger(__name__)

_NODE_SECONDS = 1.0
"""Changes of nodes come in groups: resources are reconciled once for all of them."""
_SPREAD = 0.85
"""Share of the interval of resyncs over which all resources are reconciled: over before the next begins."""
_SOON_SECONDS = 10.0
"""The same after an interruption: what failed meanwhile waits for its next retry no longer than this."""
_ARRIVAL_SECONDS = 5.0
"""When no listed object has arrived by the watches for so long, those that are missing are read."""
_POLL_SECONDS = 0.1
_DEVICES_SECONDS = 4
"""What DRA publishes is watched for so long at a time, less than the deadline of a request, then read if it changed."""
_OURS = {kind.plural: f"spec.driver={DRIVER}" for kind in RESOURCE_SLICES}
"""Field selectors: other vendors' drivers may publish thousands of slices."""
_FEW_NODES = 50
"""So many changed nodes are read one by one; more are listed."""


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
        self._asked = asyncio.Event()
        self._published: dict[Kind, str] = {}

    async def run(self, events: AsyncIterator[Event]) -> None:
        """Take events until cancelled."""
        async for event in events:
            self.take(*event)

    def take(self, kind: Kind, event: str | None, body: Json) -> None:
        """One watch event."""
        if event == RELISTED:
            self.ask_for_resync()
            return
        metrics.WATCH_EVENTS.labels(kind.plural).inc()
        metrics.WATCH_EVENT_LAST.labels(kind.plural).set_to_current_time()
        if kind == kinds.NODE:
            self._take_node(event, body)
            return
        owner = owner_of(kind, body)
        if event == "DELETED":
            about = metadata.parse(body)
            self._store.remove(kind, about.namespace, about.name, about.uid)
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

        What somebody else has changed just before is in the answer as well, and then its event is an old one.
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
        before = self._before(kind, body)
        if before is not None and before.is_version_of(body):
            return False
        return self._store.put(kind, prune(kind, body), owner)

    def _before(self, kind: Kind, body: Json) -> CachedObject | None:
        about = as_object(body.get("metadata"))
        return self._store.get(kind, str(about.get("namespace", "")), str(about.get("name", "")))

    async def resync(self, within: float) -> None:
        """List everything, drop what is gone, and reconcile all resources in so many seconds. Raises ApiError.

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
        self._reconcile_all(within)

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

    async def follow_devices(self) -> None:
        """Take over what DRA publishes within seconds. kopf cannot watch a kind that the API server may not have."""
        while True:
            pause = asyncio.create_task(asyncio.sleep(_DEVICES_SECONDS))
            try:
                if await self._devices_changed():
                    await self._read_nodes(await self._list_extras())
            except errors.ApiError as error:
                LOG.debug("Devices cannot be followed: %s", error)
            await pause

    async def _devices_changed(self) -> bool:
        watches = (
            self._kube.changed(kind, since, _DEVICES_SECONDS, _OURS.get(kind.plural, ""))
            for kind, since in self._published.items()
        )
        try:
            return any(await asyncio.gather(*watches))
        except errors.GoneError:
            return True  # too long ago: nobody knows

    async def _read_nodes(self, names: Collection[str]) -> None:
        """Judge nodes again of which something is published otherwise than before."""
        if len(names) > _FEW_NODES:
            await self._list_nodes()
            return
        async for body in self._read(kinds.NODE, [metadata.Metadata(name) for name in names]):
            self._take_node(None, body)

    def _reconcile_all(self, within: float) -> None:
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
        """Bring the cache to what a list says; owners of what changed by it."""
        selector = "" if kind == kinds.HIPBMM_DEPLOYMENT else names.MANAGED_SELECTOR
        began = self._store.begin()
        try:
            listed: list[metadata.Metadata] = []
            kept: list[tuple[CachedObject, NamespacedName | None]] = []
            version, size = "", self._settings.page_size
            # At the start a list is five times faster than kopf, which has a task for each object.
            whole = not self._store.count(kind)
            async for page in self._kube.pages(kind, namespace, selector, size, metadata_only=not whole):
                listed += map(metadata.parse, page.items)
                kept += [(prune(kind, body), owner_of(kind, body)) for body in page.items if whole]
                version = page.resource_version
            if not whole:
                missing = await self._missing(kind, listed, began)
                kept = [(prune(kind, body), owner_of(kind, body)) async for body in self._read(kind, missing)]
            at = {NamespacedName(each.namespace, each.name) for each in listed}
            return self._store.replace(kind, at, kept, began, namespace, version)
        finally:
            self._store.end()

    async def _missing(self, kind: Kind, listed: list[metadata.Metadata], began: int) -> list[metadata.Metadata]:
        """Those of the listed objects that the watches have not brought, after time to bring them."""
        fewest, deadline = len(listed) + 1, 0.0
        while listed := [each for each in listed if self._store.lacks(kind, each, began)]:
            if len(listed) < fewest:
                fewest, deadline = len(listed), time.monotonic() + _ARRIVAL_SECONDS
            elif time.monotonic() > deadline:
                LOG.info("%d %s were not brought by a watch, and are read", len(listed), kind.plural)
                return listed
            await asyncio.sleep(_POLL_SECONDS)
        return []

    async def _read(self, kind: Kind, missing: Iterable[metadata.Metadata]) -> AsyncIterator[Json]:
        for each in missing:
            with contextlib.suppress(errors.NotFoundError):
                yield await self._kube.get(kind, each.namespace, each.name)

    async def _list_extras(self) -> set[str]:
        """What DRA and NFD publish about nodes, which of them it changed. An absent or forbidden API says nothing."""
        slices: dict[str, list[Json]] = defaultdict(list)
        for body in await self._first_served(kinds.RESOURCE_SLICES):
            slices[node_of_slice(body)].append(body)
        features: dict[str, list[Json]] = defaultdict(list)
        for body in await self._first_served((kinds.NODE_FEATURE,)):
            features[node_of_feature(body)].append(body)
        classes = await self._first_served(kinds.DEVICE_CLASSES)
        return self._nodes.attach(slices, features, extended_resources(classes))

    async def _first_served(self, versions: Iterable[Kind]) -> list[Json]:
        """All objects of the first of these versions that the API server has."""
        for kind in versions:
            found: list[Json] = []
            try:
                fields = _OURS.get(kind.plural, "")
                async for page in self._kube.pages(kind, size=self._settings.page_size, fields=fields):
                    found += page.items
                    if kind in FOLLOWED:
                        self._published[kind] = page.resource_version
            except (errors.NotFoundError, errors.ForbiddenError):
                continue
            return found
        return []

    async def _list_nodes(self) -> None:
        """Nodes are optional: an operator of single namespaces may not be allowed to read them."""
        began, found, changed = self._nodes.begin(), set(), False
        try:
            async for page in self._kube.pages(kinds.NODE, size=self._settings.page_size):
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
