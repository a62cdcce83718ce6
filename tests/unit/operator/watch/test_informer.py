"""Lists: what has not changed is not read again, and what has is."""

from collections import Counter
from collections.abc import AsyncIterator

from tests.unit.operator.make import MINIMAL, Json, pod

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import Store
from hipbmm_operator.watch.informer import Informer
from hipbmm_operator.watch.node_cache import NodeBook
from hipbmm_operator.workqueue.queue import Backoff, Queue


class Lister:
    """An API server with pods, which keeps book of what is listed."""

    def __init__(self) -> None:
        self.pods: dict[str, Json] = {}
        self.resources: list[Json] = []
        self.whole: list[str] = []

    def put(self, name: str, version: int, *, ready: bool = False) -> None:
        body = pod(name, ready=ready)
        body["metadata"]["resourceVersion"] = str(version)
        body["metadata"]["labels"] = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
        self.pods[name] = body

    async def pages(self, kind: Kind, *_: object, metadata_only: bool = False, **__: object) -> AsyncIterator[Page]:
        if not metadata_only:
            self.whole.append(kind.plural)
        bodies = {kinds.POD: list(self.pods.values()), kinds.HIPBMM_DEPLOYMENT: self.resources}.get(kind, [])
        yield Page([{"metadata": body["metadata"]} if metadata_only else body for body in bodies], "100")


class Desk:
    """An informer on that API server."""

    def __init__(self) -> None:
        self.api, self.store, self.now = Lister(), Store(), 0.0
        self.queue = Queue(Backoff(1.0, 1.0, lambda: 0.0), lambda: self.now)
        rights = Rights(self.api, (), ())  # type: ignore[arg-type]  # the part that is used
        self.informer = Informer(self.api, self.store, NodeBook(), self.queue, Settings(), rights)  # type: ignore[arg-type]

    async def resync(self) -> int:
        """Look at everything; how often pods were listed as a whole."""
        self.api.whole.clear()
        await self.informer.resync(1.0)
        return self.api.whole.count("pods")

    async def looks(self, seconds: int) -> list[tuple[int, NamespacedName]]:
        """In which of the next seconds which resource is looked at."""
        found: list[tuple[int, NamespacedName]] = []
        for second in range(seconds):
            self.now += 1
            for _ in range(self.queue.depth()):
                key = await self.queue.get()
                self.queue.done(key)
                found.append((second, key))
        return found

    def kept(self) -> dict[str, tuple[str, bool]]:
        bodies = [packed.body() for packed in self.store.all(kinds.POD)]
        return {
            body["metadata"]["name"]: (
                body["metadata"]["resourceVersion"],
                body["status"]["conditions"][0]["status"] == "True",
            )
            for body in bodies
        }


def resource(number: int) -> Json:
    metadata = {"namespace": "ns", "name": f"r-{number:03}", "uid": f"uid-{number}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": MINIMAL}


async def test_what_has_not_changed_is_not_read_again() -> None:
    desk = Desk()
    desk.api.put("a", 1)
    desk.api.put("b", 2)
    assert await desk.resync() == 1
    assert await desk.resync() == 0
    assert desk.kept() == {"a": ("1", False), "b": ("2", False)}


async def test_what_has_changed_is_read_whole() -> None:
    desk = Desk()
    desk.api.put("a", 1)
    await desk.resync()
    desk.api.put("a", 3, ready=True)
    desk.api.put("b", 4)
    assert await desk.resync() == 1
    assert desk.kept() == {"a": ("3", True), "b": ("4", False)}


async def test_what_is_gone_is_forgotten_without_reading_the_rest() -> None:
    desk = Desk()
    desk.api.put("a", 1)
    desk.api.put("b", 2)
    await desk.resync()
    del desk.api.pods["a"]
    assert await desk.resync() == 0
    assert desk.kept() == {"b": ("2", False)}


async def test_another_object_of_the_same_name_is_read() -> None:
    desk = Desk()
    desk.api.put("a", 1)
    await desk.resync()
    desk.api.pods["a"]["metadata"] |= {"uid": "another"}
    assert await desk.resync() == 1
    (packed,) = desk.store.all(kinds.POD)
    assert packed.uid == "another"


async def test_looks_at_all_resources_are_spread_and_each_comes_at_its_own_moment() -> None:
    desk = Desk()
    desk.api.resources = [resource(number) for number in range(200)]
    await desk.informer.resync(100.0)
    await desk.looks(101)  # also what the first list brought
    await desk.informer.resync(100.0)
    moments = await desk.looks(101)
    assert len({key for _, key in moments}) == len(moments) == 200
    assert max(Counter(second // 10 for second, _ in moments).values()) < 40
    await desk.informer.resync(100.0)
    assert await desk.looks(101) == moments


async def taken(desk: Desk) -> list[NamespacedName]:
    """What there is to look at in the next seconds."""
    return [key for _, key in await desk.looks(3)]


def state(version: int, **metadata: object) -> Json:
    """The resource number 1 in one version."""
    body = resource(1)
    body["metadata"] |= {"generation": 1, "resourceVersion": str(version)} | metadata
    return body


async def after_answer(body: Json) -> list[NamespacedName]:
    """What there is to look at when a status write was answered by this, and the events come later."""
    desk = Desk()
    desk.informer.take(kinds.HIPBMM_DEPLOYMENT, "ADDED", state(1))
    assert await taken(desk) == [NamespacedName("ns", "r-001")]
    desk.informer.saw(kinds.HIPBMM_DEPLOYMENT, body)
    unwritten = {**body, "metadata": body["metadata"] | {"resourceVersion": "2"}, "status": {}}
    desk.informer.take(kinds.HIPBMM_DEPLOYMENT, "MODIFIED", unwritten)
    desk.informer.take(kinds.HIPBMM_DEPLOYMENT, "MODIFIED", body)
    return await taken(desk)


async def test_the_answer_to_a_status_write_is_no_news() -> None:
    assert await after_answer(state(3) | {"status": {"phase": "Pending"}}) == []


async def test_a_spec_changed_just_before_a_status_write_is_news() -> None:
    changed = state(3, generation=2) | {"spec": MINIMAL | {"replicas": 2}, "status": {"phase": "Pending"}}
    assert await after_answer(changed) == [NamespacedName("ns", "r-001")]


async def test_an_annotation_set_just_before_a_status_write_is_news() -> None:
    asked = state(3, annotations={names.ANNOTATION_ROLL_FORWARD: "now"}) | {"status": {"phase": "Pending"}}
    assert await after_answer(asked) == [NamespacedName("ns", "r-001")]


async def test_a_claim_that_was_bound_just_before_a_write_is_news_and_one_just_made_is_not() -> None:
    desk = Desk()
    metadata = {"namespace": "ns", "name": "c", "uid": "u", "annotations": {names.ANNOTATION_DEPLOYMENT: "r-001"}}
    claim = {"metadata": metadata | {"resourceVersion": "1"}, "spec": {}, "status": {"phase": "Pending"}}
    desk.informer.saw(kinds.CLAIM, claim)
    assert await taken(desk) == []
    bound = claim | {"metadata": metadata | {"resourceVersion": "3"}, "status": {"phase": "Bound"}}
    desk.informer.saw(kinds.CLAIM, bound)
    desk.informer.take(kinds.CLAIM, "MODIFIED", bound)
    assert await taken(desk) == [NamespacedName("ns", "r-001")]
