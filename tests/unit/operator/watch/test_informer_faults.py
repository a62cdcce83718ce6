"""Whatever events are lost and whatever lists fail: each change is asked for, and one resync shows the truth."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.detect.nodes import device, node, resource_slice
from tests.unit.operator.make import MINIMAL, Json, pod

from hipbmm_operator.kube import errors, names
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, NODE, POD, RESOURCE_SLICES, WATCHED, Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.informer import Informer
from hipbmm_operator.watch.node_cache import NodeCache, _essence
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.watch.watches import Event
from hipbmm_operator.workqueue.queue import Backoff, Queue

SLICE = RESOURCE_SLICES[0]


def resource(name: str, value: int) -> Json:
    return {"metadata": {"namespace": "ns", "name": name}, "spec": {**MINIMAL, "replicas": value}}


def pod_of(name: str, value: int) -> Json:
    """Of the resource `a`, of `b`, or of none."""
    body = pod(name)
    of = {names.ANNOTATION_DEPLOYMENT: "ab"[value % 2]} if value < 3 else {}
    body["metadata"] = {"namespace": "ns", "name": name, "annotations": of}
    return body


def slice_of(name: str, value: int) -> Json:
    return resource_slice([device(index) for index in range(value)], node=name, name=name)


def node_of(name: str, value: int) -> Json:
    return node({"A:device-id": "74a1"}, {"amd.com/gpu": str(value)}, name=name)


MAKE = {HIPBMM_DEPLOYMENT: resource, POD: pod_of, SLICE: slice_of, NODE: node_of}
CHANGES = st.tuples(st.sampled_from(list(MAKE)), st.sampled_from("ab"), st.none() | st.integers(0, 3), st.booleans())
RESYNC = st.tuples(st.just("resync"), st.integers(0, 12))
FOLLOW = st.tuples(st.just("follow"), st.integers(0, 2))
"""And which of the lists fails, if any."""
PUBLISHED = st.tuples(st.just(SLICE), st.just("a"), st.integers(0, 3), st.just(True))


class World:
    """What the API server has, the part of `Kube` that an informer uses, and the informer."""

    def __init__(self) -> None:
        self.objects: dict[Kind, dict[str, Json]] = defaultdict(dict)
        self.version, self.changes, self.now, self.until_failure = 0, defaultdict[Kind, int](int), 0.0, 99
        self.cache, self.nodes = ObjectCache(), NodeCache()
        self.queue = Queue(Backoff(1.0, 1.0, lambda: 0.0), lambda: self.now)
        rights = Rights(self, WATCHED, ())  # type: ignore[arg-type]
        self.informer = Informer(self, self.cache, self.nodes, self.queue, Settings(), rights)  # type: ignore[arg-type]

    async def pages(self, kind: Kind, *_: object, **__: object) -> AsyncIterator[Page]:
        self.until_failure -= 1
        if self.until_failure == 0:
            raise errors.UnavailableError(503, "Unavailable", "")
        yield Page(list(self.objects[kind].values()), str(self.version))

    async def changed(self, kind: Kind, since: str, *_: object) -> bool:
        return self.changes[kind] > int(since)

    def change(self, kind: Kind, name: str, value: int | None, lost: bool) -> None:
        """Put an object, or delete it without a value; `lost`: there is no event of it."""
        before = self.objects[kind].pop(name, None)
        if value is None and before is None:
            return
        self.version += 1
        self.changes[kind] = self.version
        body: Json = (before or {}) if value is None else MAKE[kind](name, value)
        uid = before["metadata"]["uid"] if before else f"u{self.version}"
        body = {**body, "metadata": {**body["metadata"], "uid": uid, "resourceVersion": str(self.version)}}
        if value is not None:
            self.objects[kind][name] = body
        if kind in WATCHED and not lost:
            self.informer.take(Event(kind, "DELETED" if value is None else "MODIFIED", prune(kind, body)))

    async def list(self, what: str, fails: int) -> None:
        self.until_failure = fails
        try:
            if what == "resync":
                await self.informer.resync(10.0)
            elif await self.informer._devices_changed():
                await self.informer._list_devices()
        except errors.UnavailableError:
            return

    async def asked(self) -> set[NamespacedName]:
        """What is reconciled in the next three seconds."""
        found: set[NamespacedName] = set()
        self.now += 3
        while self.queue.depth():
            found.add(key := await self.queue.get())
            self.queue.done(key)
        return found

    def known(self) -> dict[NamespacedName, Any]:
        """What is known of each resource."""
        owners = [NamespacedName("ns", name) for name in "ab"]
        return {
            owner: [packed.kept() for kind in (HIPBMM_DEPLOYMENT, POD) for packed in self.cache.owned(owner, kind)]
            for owner in owners
        }

    def detections(self) -> dict[str, Any]:
        """What the nodes are, by what the API server has now."""
        fresh, slices = NodeCache(), defaultdict(list)
        for body in self.objects[SLICE].values():
            slices[body["spec"]["nodeName"]].append(prune(SLICE, body))
        fresh.attach("slices", slices)
        for body in self.objects[NODE].values():
            fresh.put(prune(NODE, body).body(), 0.0)
        return of(fresh)


def of(nodes: NodeCache) -> dict[str, Any]:
    return {name: _essence(found) for name, found in nodes._detections.items()}


@given(st.lists(CHANGES | RESYNC | FOLLOW, max_size=14))
def test_what_changes_is_asked_for_and_a_resync_shows_the_truth(steps: list[Any]) -> None:
    async def story() -> None:
        world = World()
        for step in [*steps, ("resync", 0)]:
            before = world.known()
            if step[0] in MAKE:
                world.change(*step)
            else:
                await world.list(*step)
            asked, after = await world.asked(), world.known()
            assert {owner for owner in after if after[owner] != before[owner]} <= asked
        for kind in (HIPBMM_DEPLOYMENT, POD, NODE):
            held = {at.name: packed.body() for at, packed in world.cache._objects[kind].items()}
            assert held == {name: prune(kind, body).body() for name, body in world.objects[kind].items()}
        assert of(world.nodes) == world.detections()

    asyncio.run(story())


@given(st.lists(PUBLISHED | RESYNC | FOLLOW, max_size=8))
def test_what_a_driver_publishes_comes_with_the_next_read_whatever_failed_before(steps: list[Any]) -> None:
    async def story() -> None:
        world = World()
        world.change(NODE, "a", 1, lost=False)
        await world.list("resync", 0)
        for step in [*steps, ("follow", 0)]:
            if step[0] in MAKE:
                world.change(*step)
            else:
                await world.list(*step)
        assert of(world.nodes) == world.detections()

    asyncio.run(story())
