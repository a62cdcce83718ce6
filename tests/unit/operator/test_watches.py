"""What is watched, when it was answered, and that kopf ends when it has to."""

import asyncio
import time

import pytest

from hipbmm_operator import insist
from hipbmm_operator.kinds import DEPLOYMENT, NODE, POD
from hipbmm_operator.watches import Activity, paths


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


async def test_kopf_ends_though_a_watch_takes_its_cancellation_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insist, "_END_SECONDS", 0.05)
    monkeypatch.setattr(insist, "_AGAIN_SECONDS", 0.05)
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
        await insist.run(spawn)
    assert swallowed == ["one"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
