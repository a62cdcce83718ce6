"""What comes by the watches, from an API server on loopback, and that kopf ends and begins again when it has to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kopf._cogs.clients.api import iter_jsonlines
from tests.unit.operator.apiserver import ApiServer, eventually

from hipbmm_operator.kube.kinds import DEPLOYMENT, NODE, POD, SERVICE
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch import kopf_operator
from hipbmm_operator.watch.access import Scope
from hipbmm_operator.watch.watches import Event, Watches

KINDS = (POD, SERVICE, NODE)


class Watched:
    """Watches of an API server, and what they have brought."""

    def __init__(self, api: ApiServer, watches: Watches) -> None:
        self.api = api
        self.watches = watches
        self.events: list[Event] = []

    async def read(self) -> None:
        async for event in self.watches.events():
            self.events.append(event)

    def names(self, event: str | None) -> list[str]:
        return [each.object.at.name for each in self.events if each.object is not None and each.type == event]

    def relisted(self) -> int:
        return sum(event.object is None for event in self.events)


@asynccontextmanager
async def watched(
    api: ApiServer, scratch: Path, scope: Callable[[], Scope], prefix: str = "", stale: float = 60.0
) -> AsyncIterator[Watched]:
    async with api.running(scratch, prefix) as kubeconfig:
        settings = Settings(
            kubeconfig=kubeconfig, identity="me", page_size=2, watch_seconds=1.0, watch_stale_seconds=stale
        )
        found = Watched(api, Watches(settings, scope))
        found.watches.start()
        reader = asyncio.create_task(found.read())
        try:
            yield found
        finally:
            await asyncio.to_thread(found.watches.stop, 60.0)
            reader.cancel()
            assert not found.watches.alive()


def pod(name: str, namespace: str = "a") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}}


@pytest.mark.parametrize("prefix", ["", "/clusters/7"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_the_state_comes_first_and_then_each_change(tmp_path: Path, prefix: str, *, streaming: bool) -> None:
    api = ApiServer(streaming=streaming)
    for name in ("one", "two", "three"):
        api.put(POD, pod(name))
    async with watched(api, tmp_path, lambda: Scope(KINDS, ()), prefix) as found:
        await eventually(lambda: len(found.names(None)) == 3 and found.relisted() == len(KINDS))
        assert sorted(found.names(None)) == ["one", "three", "two"]
        api.put(POD, pod("four"))
        api.put(POD, pod("one"))
        api.remove(POD, "a", "two")
        await eventually(lambda: all(found.names(event) for event in ("ADDED", "MODIFIED", "DELETED")))
        assert (found.names("ADDED"), found.names("MODIFIED"), found.names("DELETED")) == (["four"], ["one"], ["two"])
        assert found.watches.alive()
    lists = api.count("GET /api/v1/pods?limit=2")
    assert lists == (0 if streaming else 2)
    assert api.count("labelSelector=app.kubernetes.io/managed-by%3Dhipbmm-operator") > 0
    assert api.count("PATCH") == api.count("POST") == 0


async def test_only_namespaces_in_scope_are_watched(tmp_path: Path) -> None:
    api = ApiServer()
    for namespace in ("a", "b", "c"):
        api.put(POD, pod(f"in-{namespace}", namespace))
    async with watched(api, tmp_path, lambda: Scope((POD, NODE), ("a", "b"))) as found:
        await eventually(lambda: len(found.names(None)) == 2 and found.relisted() == 3)
        assert sorted(found.names(None)) == ["in-a", "in-b"]


async def test_a_watch_whose_version_is_too_old_begins_anew_and_says_so(tmp_path: Path) -> None:
    api = ApiServer()
    api.put(POD, pod("one"))
    async with watched(api, tmp_path, lambda: Scope((POD,), ())) as found:
        await eventually(lambda: found.names(None) == ["one"] and found.relisted() == 1)
        api.remove(POD, "a", "one", quietly=True)
        api.put(POD, pod("two"), quietly=True)
        api.end_watches()
        await eventually(lambda: "two" in found.names(None) and found.relisted() == 2)
        assert found.names("DELETED") == []


async def test_an_error_of_one_watch_ends_kopf_and_all_begin_again(tmp_path: Path) -> None:
    api = ApiServer()
    api.put(POD, pod("one"))
    api.refused["WATCH", "services"] = 404
    async with watched(api, tmp_path, lambda: Scope((POD, SERVICE), ())) as found:
        await eventually(lambda: len(found.names(None)) > 1)
        api.refused.clear()
        await eventually(lambda: any(event == Event(SERVICE) for event in found.events))


async def test_kopf_ends_though_a_watch_takes_its_cancellation_for_a_pause(tmp_path: Path) -> None:
    """https://github.com/nolar/kopf/issues/1168: a watch waits for an answer when another one fails."""
    api = ApiServer()
    api.put(POD, pod("one"))
    api.hung.add("pods")
    api.refused["WATCH", "services"] = 404
    async with watched(api, tmp_path, lambda: Scope((POD, SERVICE), ())) as found:
        await eventually(lambda: api.count("GET /api/v1/pods?watch") > 1)
        api.refused.clear()
        api.hung.clear()
        await eventually(lambda: found.names(None) == ["one"])


async def test_tasks_of_kopf_are_cancelled_until_none_is_left() -> None:
    swallowed: list[str] = []

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append("one")
        await asyncio.Event().wait()

    others = asyncio.all_tasks()
    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(stubborn(), name="pause-waiter for pods")]
    await asyncio.sleep(0)
    await kopf_operator.stop(lambda: asyncio.all_tasks() - others)
    assert len(swallowed) == 4
    assert all(task.cancelled() for task in tasks)


async def test_a_kind_that_is_not_served_yet_is_waited_for(tmp_path: Path) -> None:
    api = ApiServer()
    api.put(POD, pod("one"))
    api.refused["WATCH", "hipbmmdeployments"] = 404
    async with watched(api, tmp_path, lambda: Scope((POD,), ())) as found:
        await eventually(lambda: api.count("GET /apis/hipbmm.io/v1alpha1/hipbmmdeployments") > 0)
        assert found.events == []
        api.refused.clear()
        await eventually(lambda: found.names(None) == ["one"])


async def test_a_new_scope_is_watched_after_a_restart(tmp_path: Path) -> None:
    api = ApiServer()
    api.put(POD, pod("one"))
    api.put(DEPLOYMENT, pod("two"))
    scopes = [Scope((), ())]
    async with watched(api, tmp_path, lambda: scopes[-1], stale=1.5) as found:
        await eventually(found.watches.alive)
        for kind, names in ((POD, ["one"]), (DEPLOYMENT, ["one", "two"])):
            scopes.append(Scope((kind,), ()))
            found.watches.restart()
            await eventually(lambda names=names: found.names(None) == names)  # type: ignore[misc]


async def test_watches_that_are_not_answered_are_not_alive(tmp_path: Path) -> None:
    api = ApiServer()
    api.refused["WATCH", "pods"] = 503
    async with watched(api, tmp_path, lambda: Scope((POD,), ()), stale=1.2) as found:
        await eventually(lambda: not found.watches.alive())
        api.refused.clear()
        await eventually(lambda: found.relisted() > 0)
        await eventually(found.watches.alive)


async def test_nothing_is_remembered_of_an_object() -> None:
    memories = kopf_operator._NoMemories()
    await memories.recall({"metadata": {"uid": "u"}}, noticed_by_listing=True)
    assert list(memories.iter_all_memories()) == []


async def test_little_of_a_watch_is_read_ahead() -> None:
    asked = []

    class Content:
        async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
            asked.append(size)
            yield b'{"type": "ADDED"}\n{"type":'
            yield b' "DELETED"}\n'

    lines = [line async for line in iter_jsonlines(Content())]  # type: ignore[arg-type]  # all it reads
    assert lines == [b'{"type": "ADDED"}', b'{"type": "DELETED"}']
    assert asked == [kopf_operator._READ_BYTES]
