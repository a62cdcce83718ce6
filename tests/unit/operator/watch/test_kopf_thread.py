"""What is watched, when it was answered, and that kopf ends when it has to."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hipbmm_operator.kube.kinds import DEPLOYMENT, NODE, POD
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch import kopf_shutdown
from hipbmm_operator.watch.access import Scope
from hipbmm_operator.watch.activity import Activity, paths
from hipbmm_operator.watch.kopf_thread import Watches


def test_each_kind_is_watched_in_each_namespace() -> None:
    assert set(paths((DEPLOYMENT, NODE), ())) == {"/apis/apps/v1/deployments", "/api/v1/nodes"}
    assert set(paths((POD, NODE), ("a", "b"))) == {
        "/api/v1/namespaces/a/pods",
        "/api/v1/namespaces/b/pods",
        "/api/v1/nodes",
    }


def test_watches_are_complete_when_each_was_answered_and_silent_as_the_oldest() -> None:
    told: list[bool] = []
    activity = Activity(paths((POD,), ("a", "b")), lambda: told.append(True))
    activity.answer("/api/v1/namespaces/a/pods")
    activity.answer("/api/v1/namespaces/other/pods")
    assert (activity.complete(), told) == (False, [])
    # Behind a gateway the API server's address has a path of its own.
    activity.answer("/clusters/7/api/v1/namespaces/b/pods")
    activity.answer("/api/v1/namespaces/b/pods")
    assert (activity.complete(), told) == (True, [True])
    activity.answered["/api/v1/namespaces/a/pods"] -= 100
    assert 99 < activity.silent(time.monotonic()) < 120


async def test_kopf_lists_nothing_of_what_is_watched() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response({"items": []})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    everything = Scope((POD,), ())
    watching = Watches(Settings(), lambda: everything, lambda *_: None, lambda: None, lambda: None)
    async with (
        TestServer(application) as server,
        aiohttp.ClientSession(server.make_url(""), middlewares=[watching._list_nothing]) as session,
    ):
        for path in ("/api/v1/pods?limit=500", "/api/v1/pods?watch=true", "/apis/apps/v1"):
            async with session.get(path) as response:
                assert response.status == 200
    assert asked == [
        "/api/v1/pods?limit=500&fieldSelector=metadata.name%3Dnone",
        "/api/v1/pods?watch=true",
        "/apis/apps/v1",
    ]


async def test_kopf_ends_though_a_watch_takes_its_cancellation_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_shutdown, "_END_SECONDS", 0.05)
    monkeypatch.setattr(kopf_shutdown, "_AGAIN_SECONDS", 0.05)
    swallowed: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append("one")
        await asyncio.Event().wait()

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("a watch failed")

    async def spawn() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
        await asyncio.sleep(0)
        return tasks

    with pytest.raises(ValueError, match="a watch failed"):
        await kopf_shutdown.run(spawn)
    assert swallowed == ["one"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
