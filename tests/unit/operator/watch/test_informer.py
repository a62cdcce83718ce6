"""Events and lists on an API server on loopback: what the cache holds then, and what there is to reconcile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.unit.operator.apiserver import ApiServer, eventually
from tests.unit.operator.make import MINIMAL, Json, pod

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import EVERY_KIND
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube, Page
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch import informer
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.informer import Informer
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.watch.watches import Event
from hipbmm_operator.workqueue.queue import Backoff, Queue


class Harness:
    """An informer, whose watches are what the test brings it."""

    def __init__(self, api: ApiServer, kube: Kube) -> None:
        self.api, self.cache, self.nodes, self.now = api, ObjectCache(), NodeCache(), 0.0
        self.queue = Queue(Backoff(1.0, 1.0, lambda: 0.0), lambda: self.now)
        self.rights = Rights(kube, kinds.WATCHED, ())
        settings = Settings(page_size=2, resync_seconds=0.05)
        self.informer = Informer(kube, self.cache, self.nodes, self.queue, settings, self.rights)

    def put(self, name: str, *, ready: bool = False, brought: bool = True) -> None:
        """A pod as it is now; `brought` by a watch or not."""
        body = pod(name, ready=ready)
        del body["metadata"]["uid"]
        stored = self.api.put(kinds.POD, body)
        if brought:
            self.take(kinds.POD, "ADDED", stored)

    def take(self, kind: Kind, event: str | None, body: Json) -> None:
        """One watch event."""
        self.informer.take(Event(kind, event, prune(kind, body)))

    async def due(self, seconds: int) -> list[tuple[int, NamespacedName]]:
        """In which of the next seconds which resource is reconciled."""
        found: list[tuple[int, NamespacedName]] = []
        for second in range(seconds):
            self.now += 1
            for _ in range(self.queue.depth()):
                key = await self.queue.get()
                self.queue.done(key)
                found.append((second, key))
        return found

    def kept(self) -> dict[str, bool]:
        """The pods in the cache, and whether they are ready."""
        bodies = [packed.body() for packed in self.cache._objects[kinds.POD].values()]
        return {body["metadata"]["name"]: body["status"]["conditions"][0]["status"] == "True" for body in bodies}


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    api = ApiServer()
    async with api.running(tmp_path) as kubeconfig:
        kube = await Kube.connect(kubeconfig, 5.0, proxied=False)
        yield Harness(api, kube)
        await kube.close()


def resource(number: int) -> Json:
    metadata = {"namespace": "ns", "name": f"r-{number:03}", "uid": f"uid-{number}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": MINIMAL}


async def test_at_the_start_everything_comes_by_lists_in_pages(harness: Harness) -> None:
    for name in ("a", "b", "c"):
        harness.put(name, brought=False)
    await harness.informer.resync(1.0)
    assert harness.kept() == {"a": False, "b": False, "c": False}
    assert harness.api.count("/api/v1/pods?") == 2


async def test_what_the_watches_have_brought_is_no_change_in_a_list(harness: Harness) -> None:
    harness.put("a")
    await harness.due(5)
    await harness.informer.resync(1.0)
    assert harness.kept() == {"a": False}
    assert await harness.due(5) == []


async def test_what_the_watches_have_lost_comes_by_a_list_and_is_reconciled(harness: Harness) -> None:
    harness.put("a")
    harness.put("b")
    await harness.informer.resync(1.0)
    await harness.due(5)
    harness.put("a", ready=True, brought=False)
    harness.put("c", brought=False)
    await harness.informer.resync(1.0)
    assert harness.kept() == {"a": True, "b": False, "c": False}
    assert NamespacedName("ns", "qwen") in [key for _, key in await harness.due(1)]


async def test_what_is_gone_is_forgotten_and_its_resource_reconciled(harness: Harness) -> None:
    harness.put("a")
    harness.put("b")
    await harness.due(5)
    harness.api.remove(kinds.POD, "ns", "a")
    await harness.informer.resync(1.0)
    assert harness.kept() == {"b": False}
    assert NamespacedName("ns", "qwen") in [key for _, key in await harness.due(1)]


async def test_the_resource_hears_of_a_child_that_is_said_to_be_anothers(harness: Harness) -> None:
    body = pod("a")
    harness.take(kinds.POD, "ADDED", body)
    await harness.due(5)
    body["metadata"] |= {"resourceVersion": "9", "annotations": {}}
    harness.take(kinds.POD, "MODIFIED", body)
    assert [key for _, key in await harness.due(5)] == [NamespacedName("ns", "qwen")]


async def test_the_resource_hears_of_a_child_that_a_list_says_to_be_anothers(harness: Harness) -> None:
    harness.put("a")
    await harness.due(5)
    harness.api.objects[kinds.POD]["ns", "a"]["metadata"] |= {"resourceVersion": "9", "annotations": {}}
    await harness.informer.resync(1.0)
    assert [key for _, key in await harness.due(1)] == [NamespacedName("ns", "qwen")]


async def test_what_one_list_brings_is_reconciled_though_the_next_one_fails(harness: Harness) -> None:
    """Also a resource that is gone: nothing else asks for it any more."""
    harness.take(kinds.HIPBMM_DEPLOYMENT, "ADDED", resource(1))
    await harness.due(5)
    harness.put("a", brought=False)
    harness.api.refused["LIST", "nodes"] = 503
    for _ in range(2):
        with pytest.raises(errors.UnavailableError):
            await harness.informer.resync(1.0)
    assert {key.name for _, key in await harness.due(1)} == {"r-001", "qwen"}


async def test_what_lists_bring_is_reconciled_once_all_are_there(harness: Harness) -> None:
    """A resource without its children would be made anew: its Deployment of 8 replicas with one."""
    harness.api.put(kinds.HIPBMM_DEPLOYMENT, {"metadata": {"namespace": "ns", "name": "qwen"}, "spec": MINIMAL})
    harness.put("a", brought=False)
    seen: list[tuple[NamespacedName, dict[str, bool]]] = []

    async def work() -> None:
        while True:
            key = await harness.queue.get()
            seen.append((key, harness.kept()))
            harness.queue.done(key)

    worker = asyncio.create_task(work())
    await harness.informer.resync(1.0)
    await eventually(lambda: bool(seen))
    worker.cancel()
    assert seen == [(NamespacedName("ns", "qwen"), {"a": False})]


async def test_another_object_of_the_same_name_takes_its_place(harness: Harness) -> None:
    harness.put("a")
    harness.api.remove(kinds.POD, "ns", "a")
    harness.put("a", ready=True, brought=False)
    await harness.informer.resync(1.0)
    assert harness.kept() == {"a": True}


async def test_a_renewed_watch_asks_for_a_resync_and_a_refusal_for_another_try(harness: Harness) -> None:
    async def renewed() -> AsyncIterator[Event]:
        yield Event(kinds.POD)

    harness.put("a", brought=False)
    harness.api.refused["LIST", "pods"] = 503
    forever = asyncio.create_task(harness.informer.resync_forever())
    await harness.informer.run(renewed())
    await eventually(lambda: harness.api.count("/api/v1/pods?") > 1)
    harness.api.refused.clear()
    await eventually(lambda: harness.kept() == {"a": False})
    forever.cancel()


async def test_an_answer_that_is_no_list_takes_nothing_away(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.put("a")
    monkeypatch.setattr(harness.api, "_list", lambda *_: web.json_response({"message": "welcome"}))
    with pytest.raises(errors.UnavailableError):
        await harness.informer.resync(1.0)
    assert harness.kept() == {"a": False}


async def test_a_resync_waits_no_longer_than_a_minute_whatever_it_is_told(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = list[float]()

    async def refused(_: float) -> None:
        raise errors.UnavailableError(429, "TooManyRequests", "later", retry_after=1e6)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        monkeypatch.undo()

    monkeypatch.setattr(harness.informer, "resync", refused)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    await harness.informer.resync_until_done()
    assert 60 < waited[0] < 62


async def test_a_kind_that_may_not_be_listed_is_kept_as_it_was(harness: Harness) -> None:
    harness.put("a")
    harness.api.refused["LIST", "pods"] = 403
    assert await harness.rights.refresh(watches=False)
    await harness.informer.resync(1.0)
    assert harness.kept() == {"a": False}


async def test_nodes_come_by_lists_and_by_watches(harness: Harness) -> None:
    harness.take(kinds.HIPBMM_DEPLOYMENT, None, harness.api.put(kinds.HIPBMM_DEPLOYMENT, resource(1)))
    label = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}
    for name in ("one", "two", "three"):
        harness.api.put(kinds.NODE, {"metadata": {"name": name, "labels": label}})
    await harness.informer.resync(1.0)
    assert (harness.cache.count(kinds.NODE), harness.nodes.readable) == (3, True)
    await harness.due(3)
    harness.take(kinds.NODE, "DELETED", harness.api.objects[kinds.NODE].pop(("", "one")))
    assert harness.cache.count(kinds.NODE) == 2
    assert [key for _, key in await harness.due(2)] == [NamespacedName("ns", "r-001")]
    harness.api.remove(kinds.NODE, "", "two")
    await harness.informer.resync(1.0)
    assert harness.cache.count(kinds.NODE) == 1
    harness.api.refused["LIST", "nodes"] = 403
    await harness.informer.resync(1.0)
    assert not harness.nodes.readable


async def test_reconciles_of_all_resources_are_spread_and_each_comes_at_its_own_moment(harness: Harness) -> None:
    for number in range(200):
        harness.take(kinds.HIPBMM_DEPLOYMENT, None, harness.api.put(kinds.HIPBMM_DEPLOYMENT, resource(number)))
    await harness.informer.resync(100.0)
    await harness.due(101)  # also what the first events brought
    await harness.informer.resync(100.0)
    moments = await harness.due(101)
    assert len({key for _, key in moments}) == len(moments) == 200
    assert max(Counter(second // 10 for second, _ in moments).values()) < 40
    await harness.informer.resync(100.0)
    assert await harness.due(101) == moments


async def taken(harness: Harness) -> list[NamespacedName]:
    """What is reconciled in the next seconds."""
    return [key for _, key in await harness.due(3)]


def state(version: int, **metadata: object) -> Json:
    """The resource number 1 in one version."""
    body = resource(1)
    body["metadata"] |= {"generation": 1, "resourceVersion": str(version)} | metadata
    return body


async def after_answer(harness: Harness, body: Json) -> list[NamespacedName]:
    """What is reconciled when a status write was answered by this, and the events come later."""
    harness.take(kinds.HIPBMM_DEPLOYMENT, "ADDED", state(1))
    assert await taken(harness) == [NamespacedName("ns", "r-001")]
    harness.informer.saw(kinds.HIPBMM_DEPLOYMENT, body)
    unwritten = {**body, "metadata": body["metadata"] | {"resourceVersion": "2"}, "status": {}}
    harness.take(kinds.HIPBMM_DEPLOYMENT, "MODIFIED", unwritten)
    harness.take(kinds.HIPBMM_DEPLOYMENT, "MODIFIED", body)
    return await taken(harness)


async def test_the_answer_to_a_status_write_asks_for_nothing(harness: Harness) -> None:
    assert await after_answer(harness, state(3) | {"status": {"phase": "Pending"}}) == []


async def test_a_spec_changed_just_before_a_status_write_asks_for_a_reconcile(harness: Harness) -> None:
    changed = state(3, generation=2) | {"spec": MINIMAL | {"replicas": 2}, "status": {"phase": "Pending"}}
    assert await after_answer(harness, changed) == [NamespacedName("ns", "r-001")]


async def test_an_annotation_set_just_before_a_status_write_asks_for_a_reconcile(harness: Harness) -> None:
    asked = state(3, annotations={names.ANNOTATION_ROLL_FORWARD: "now"}) | {"status": {"phase": "Pending"}}
    assert await after_answer(harness, asked) == [NamespacedName("ns", "r-001")]


async def test_a_claim_bound_just_before_a_write_asks_for_a_reconcile_and_a_new_one_does_not(harness: Harness) -> None:
    metadata = {"namespace": "ns", "name": "c", "uid": "u", "annotations": {names.ANNOTATION_DEPLOYMENT: "r-001"}}
    claim = {"metadata": metadata | {"resourceVersion": "1"}, "spec": {}, "status": {"phase": "Pending"}}
    harness.informer.saw(kinds.CLAIM, claim)
    assert await taken(harness) == []
    bound = claim | {"metadata": metadata | {"resourceVersion": "3"}, "status": {"phase": "Bound"}}
    harness.informer.saw(kinds.CLAIM, bound)
    harness.take(kinds.CLAIM, "MODIFIED", bound)
    assert await taken(harness) == [NamespacedName("ns", "r-001")]


def slices(version: str = "1") -> tuple[Json, Json]:
    """A node that its labels name, and the slice of its driver."""
    node = {"metadata": {"name": "dra", "labels": {"hipbmm.io/gpu-product": "MI355X"}}}
    device = {"name": "gpu-0", "attributes": {"deviceID": {"string": "0x75a3"}, "type": {"string": "amdgpu"}}}
    pool = {"name": "dra", "generation": int(version), "resourceSliceCount": 1}
    spec = {"driver": "gpu.amd.com", "nodeName": "dra", "pool": pool, "devices": [device]}
    return node, {"metadata": {"name": f"slice-{version}"}, "spec": spec}


def fits(harness: Harness) -> bool:
    want = Spec.model_validate({**MINIMAL, "gpu": {"deviceClassName": "gpu.amd.com"}})
    found = harness.nodes.summary(want, [], 1, EVERY_KIND)
    return found is not None and found.finding.state == "True"


@pytest.mark.parametrize("gone", [False, True])
async def test_what_a_driver_publishes_between_two_resyncs_is_taken_over(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    """Also when the API server no longer knows what has changed since the list."""
    monkeypatch.setattr(informer, "_DEVICES_SECONDS", 1)
    node, published = slices()
    harness.api.put(kinds.NODE, node)
    await harness.informer.resync(1.0)
    assert not fits(harness)
    following = asyncio.create_task(harness.informer.follow_devices())
    await eventually(lambda: harness.api.count("watch=true") == 2)
    harness.api.put(kinds.RESOURCE_SLICES[0], published, quietly=gone)
    if gone:
        harness.api.end_watches()
    await eventually(lambda: fits(harness))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert harness.api.count("nodefeatures") == 1, "they are large, and come with a resync"


@pytest.mark.parametrize("left", [[], ["v1"]])
async def test_devices_are_followed_when_the_api_server_has_other_versions_than_before(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, left: list[str]
) -> None:
    """As after an upgrade: beta versions go. Where all are gone, nothing is asked again and again."""
    monkeypatch.setattr(informer, "_DEVICES_SECONDS", 0.01)
    node, published = slices()
    harness.api.put(kinds.NODE, node)
    harness.api.unserved = {"resource.k8s.io/v1"}
    await harness.informer.resync(1.0)
    harness.api.unserved = {f"resource.k8s.io/{each}" for each in ("v1", "v1beta2", "v1beta1") if each not in left}
    harness.api.put(kinds.RESOURCE_SLICES[0], published)
    following = asyncio.create_task(harness.informer.follow_devices())
    if left:
        await eventually(lambda: fits(harness))
    else:
        await eventually(lambda: not harness.informer._published)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_an_older_list_of_devices_never_replaces_a_newer_one(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a resync, beside the one that a change asks for."""
    node, published = slices()
    harness.api.put(kinds.NODE, node)
    await harness.informer.resync(1.0)
    taken, goes_on = asyncio.Event(), asyncio.Event()
    plain = harness.informer._kube.pages

    async def late(kind: Kind, **more: Any) -> AsyncIterator[Page]:  # noqa: ANN401
        async for page in plain(kind, **more):
            yield page
        if kind == kinds.RESOURCE_SLICES[0] and not taken.is_set():
            taken.set()
            await goes_on.wait()

    monkeypatch.setattr(harness.informer._kube, "pages", late)
    older = asyncio.create_task(harness.informer._list_devices())
    await taken.wait()
    harness.api.put(kinds.RESOURCE_SLICES[0], published)
    newer = asyncio.create_task(harness.informer._list_devices())
    await asyncio.wait({newer}, timeout=0.5)
    goes_on.set()
    await asyncio.gather(older, newer)
    assert fits(harness)


async def test_without_news_of_devices_nothing_is_read(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer, "_DEVICES_SECONDS", 1)
    await harness.informer.resync(1.0)
    before = len(harness.api.requests)
    following = asyncio.create_task(harness.informer.follow_devices())
    await eventually(lambda: len(harness.api.requests) >= before + 6)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert all("watch=true" in line for line in harness.api.requests[before:])
