"""From watch events and lists to the cache, the node cache and the queue.

Objects come by the watches. A list, at the start and now and then, drops what is gone and adds what they have not
brought. At the start it is five times faster than kopf, which has a task for each object.
"""

import asyncio
import logging
import random
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from hipbmm_operator.detect.sources.dra import DRIVER, extended_resources, node_of_slice
from hipbmm_operator.detect.sources.pci import node_of_feature
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import RESOURCE_SLICES, WATCHED, Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.kopf_operator import Backoffs
from hipbmm_operator.watch.node_cache import ByNode, NodeCache
from hipbmm_operator.watch.pruning import CachedObject, prune
from hipbmm_operator.watch.watches import Event
from hipbmm_operator.workqueue.queue import Queue

LOG = logging.getLogger(__name__)

_NODE_SECONDS = 1.0
"""Changes of nodes come in groups: resources are reconciled once for all of them."""
_SPREAD = 0.85
"""Share of the interval of resyncs over which all resources are reconciled: over before the next begins."""
_SOON_SECONDS = 10.0
"""The same after an interruption: what failed meanwhile waits for its next retry no longer than this."""
_DEVICES_SECONDS = 4
"""What DRA publishes is watched for so long at a time, less than the deadline of a request, then read if it changed."""
_OURS = {kind.plural: f"spec.driver={DRIVER}" for kind in RESOURCE_SLICES}
"""Field selectors: other vendors' drivers may publish thousands of slices."""
_Since = list[tuple[Kind, str]]
"""Of a kind that was listed, if there was one, the version of the API that served it, and the list's resourceVersion.
"""


class Informer:
    """Keeps the caches of objects and of nodes true, and asks for reconciles of what changed."""

    def __init__(
        self, kube: Kube, cache: ObjectCache, nodes: NodeCache, queue: Queue, settings: Settings, rights: Rights
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._nodes = nodes
        self._queue = queue
        self._settings = settings
        self._rights = rights
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._published: _Since = []

    async def run(self, events: AsyncIterator[Event]) -> None:
        """Take events until cancelled."""
        async for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """One watch event."""
        kind, packed = event.kind, event.object
        if packed is None:
            self.ask_for_resync()
            return
        metrics.WATCH_EVENTS.labels(kind.plural).inc()
        metrics.WATCH_EVENT_LAST.labels(kind.plural).set_to_current_time()
        if event.type == "DELETED":
            concerned = self._cache.remove(kind, *packed.at, packed.uid, packed.resource_version)
        else:
            concerned = self._cache.put(kind, packed)
        self._follow(kind, concerned)

    def saw(self, kind: Kind, body: Json) -> None:
        """An object as the API server answered to a write of ours: known already when its event comes.

        What somebody else has changed just before is in the answer as well, and then its event is an old one.
        """
        if kind not in WATCHED:
            return
        packed = prune(kind, body)
        before = self._cache.get(kind, *packed.at)
        concerned = self._cache.put(kind, packed)
        if before is not None and not (kind == kinds.HIPBMM_DEPLOYMENT and packed.same_but_status(before)):
            self._follow(kind, concerned)

    def _follow(self, kind: Kind, owners: Collection[NamespacedName]) -> None:
        """Ask for the reconciles that follow from a changed object, or one that is gone: of whose it is, or was."""
        if kind == kinds.NODE:
            self._judge({owner.name for owner in owners})
            return
        urgent = kind == kinds.HIPBMM_DEPLOYMENT
        for owner in owners:
            self._queue.add(owner, 0.0 if urgent else self._settings.debounce_seconds, urgent=urgent)

    def _judge(self, nodes: Collection[str]) -> None:
        """Detect what these nodes are, from their state in the cache; what has changed concerns all resources."""
        cached = {name: self._cache.get(kinds.NODE, "", name) for name in nodes}
        now = time.monotonic()
        changed = [
            self._nodes.put(packed.body(), now) if packed else self._nodes.remove(name)
            for name, packed in cached.items()
        ]
        if any(changed):
            self._reconcile_all(0.0, _NODE_SECONDS)

    async def resync(self, within: float) -> None:
        """List everything, drop what is gone, and reconcile all resources in so many seconds. Raises ApiError.

        What may not be listed is kept as it was.
        """
        self._asked.clear()
        concerned = list[NamespacedName]()
        try:
            for kind in WATCHED:
                for namespace in (self._settings.namespaces if kind.namespaced else ()) or ("",):
                    if kind == kinds.NODE:
                        await self._list_nodes()
                    elif self._rights.may(kind, namespace):
                        concerned += await self._list(kind, namespace)
                metrics.OBJECTS.labels(kind.plural).set(self._cache.count(kind))
        finally:
            # After the last list: before it a resource would be reconciled without its children. Also when a list has
            # failed: what the lists before it have changed is not a change in the next resync.
            for owner in concerned:
                self._queue.add(owner)
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
        for pause in Backoffs():
            try:
                await self.resync(within)
            except errors.ApiError as error:
                LOG.warning("Resync failed: %s", error)
                await asyncio.sleep(min(error.retry_after or 0, self._settings.backoff_max_seconds) + pause)
            else:
                return

    async def follow_devices(self) -> None:
        """Take over what DRA publishes within seconds. kopf cannot watch a kind that the API server may not have."""
        while True:
            pause = asyncio.create_task(asyncio.sleep(_DEVICES_SECONDS))
            try:
                if await self._devices_changed():
                    await self._list_devices()
            except errors.ApiError as error:
                LOG.debug("Devices cannot be followed: %s", error)
            await pause

    async def _devices_changed(self) -> bool:
        watches = (
            self._kube.changed(kind, since, _DEVICES_SECONDS, _OURS.get(kind.plural, ""))
            for kind, since in self._published
        )
        try:
            return any(await asyncio.gather(*watches))
        except (errors.GoneError, errors.NotFoundError):
            return True  # too long ago, or the API server has other versions now: nobody knows

    def _reconcile_all(self, within: float, after: float = 0.0) -> None:
        for key in self._cache.resources():
            # Each has its own moment, the same after each resync: never much more than an interval apart.
            moment = (zlib.crc32("/".join(key).encode()) + 1) / 2**32
            self._queue.add(key, after + within * moment)

    async def _list(self, kind: Kind, namespace: str = "") -> list[NamespacedName]:
        """Bring the cache to what a list says; whose is what it changes."""
        own = kind in (kinds.HIPBMM_DEPLOYMENT, kinds.NODE)
        selector = "" if own else names.MANAGED_SELECTOR
        listed: list[CachedObject] = []
        version = ""
        async for page in self._kube.pages(kind, namespace, selector, self._settings.page_size):
            listed += [self._pruned(kind, body) for body in page.items]
            version = page.resource_version
        return self._cache.replace(kind, listed, version, namespace)

    def _pruned(self, kind: Kind, body: Json) -> CachedObject:
        """The object as it is kept, or would be."""
        about = body["metadata"]
        known = self._cache.get(kind, about.get("namespace", ""), about["name"])
        return known if known is not None and known.is_version_of(body) else prune(kind, body)

    async def _list_devices(self) -> None:
        """Take over what DRA publishes. An absent or forbidden API says nothing."""
        async with self._turn:  # an older list never replaces a newer one
            slices, slices_since = await self._by_node(kinds.RESOURCE_SLICES, node_of_slice)
            classes, classes_since = await self._first_served(kinds.DEVICE_CLASSES)
            self._published = slices_since + classes_since
            self._judge(self._nodes.attach("slices", slices) | self._nodes.extend(extended_resources(classes)))

    async def _by_node(self, versions: Sequence[Kind], node_of: Callable[[Json], str]) -> tuple[ByNode, _Since]:
        bodies, since = await self._first_served(versions)
        found: dict[str, list[CachedObject]] = defaultdict(list)
        for body in bodies:
            found[node_of(body)].append(prune(versions[0], body))
        return found, since

    async def _first_served(self, versions: Sequence[Kind]) -> tuple[list[Json], _Since]:
        """All objects of the first of these versions of a kind that the API server has, and where a watch begins."""
        for kind in versions:
            found, since = list[Json](), ""
            try:
                fields = _OURS.get(kind.plural, "")
                async for page in self._kube.pages(kind, size=self._settings.page_size, fields=fields):
                    found += page.items
                    since = page.resource_version
            except errors.NOT_TO_BE_READ:
                continue
            return found, [(kind, since)]
        return [], []

    async def _list_nodes(self) -> None:
        """Nodes are optional: an operator of single namespaces may not be allowed to read them."""
        # Of each node up to half a megabyte, so only with a resync. What is taken over is judged before the next list,
        # which may fail: it is no change the next time.
        features, _ = await self._by_node((kinds.NODE_FEATURE,), node_of_feature)
        self._judge(self._nodes.attach("features", features))
        await self._list_devices()
        try:
            listed = await self._list(kinds.NODE)
        except errors.ForbiddenError:
            self._nodes.readable = False
            return
        self._nodes.readable = True
        self._judge({*(node.name for node in listed), *self._nodes.stale})
