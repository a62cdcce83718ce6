"""The whole operator on an API server on loopback: it starts, works, says how it is, and ends in good order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.unit.operator.apiserver import ApiServer, eventually

from hipbmm_operator import manager
from hipbmm_operator.kube import kinds
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics

Json = dict[str, Any]
SPEC: Json = {"image": "registry.example/vllm:1", "model": {"name": "org/model"}}
LEASE = ("hipbmm-system", "hipbmm-operator")


@pytest.fixture(autouse=True)
def metrics_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator shows depends on its Lease, and the metrics are those of the process."""
    for each in (metrics.RESOURCES, metrics.PROFILES):
        monkeypatch.setattr(each, "shown", each.shown)
        monkeypatch.setattr(each, "_held", {})


class Running:
    """The operator as a task, and its probes."""

    def __init__(self, api: ApiServer, task: "asyncio.Task[int]", port: int) -> None:
        self.api = api
        self.task = task
        self._port = port

    async def probe(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, path: str, status: int, text: str = "", *, without: str = "\0") -> None:
        """Wait until a probe answers so."""
        async with asyncio.timeout(120):
            while True:
                try:
                    code, answer = await self.probe(path)
                except aiohttp.ClientConnectionError:  # it does not listen yet
                    code, answer = 0, ""
                if code == status and text in answer and without not in answer:
                    return
                await asyncio.sleep(0.05)

    def status(self, name: str) -> Json:
        return dict(self.api.objects[kinds.HIPBMM_DEPLOYMENT]["ns", name].get("status") or {})


@asynccontextmanager
async def running(api: ApiServer, scratch: Path, unused_tcp_port: int, **settings: Any) -> AsyncIterator[Running]:  # noqa: ANN401
    api.put(kinds.NAMESPACE, {"metadata": {"name": "ns"}})
    async with api.running(scratch) as kubeconfig:
        chosen = Settings(
            kubeconfig=kubeconfig,
            namespace=LEASE[0],
            identity="me",
            http_port=unused_tcp_port,
            debounce_seconds=0.05,
            rights_seconds=0.3,
            **settings,
        )
        task = asyncio.create_task(manager.run(chosen))
        await asyncio.sleep(0.1)
        try:
            yield Running(api, task, unused_tcp_port)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(task, 120) == 0


def resource(name: str = "qwen") -> Json:
    about = {"name": name, "namespace": "ns", "generation": 1}
    return kinds.HIPBMM_DEPLOYMENT.body(about, spec=SPEC)


async def test_a_resource_gets_its_children_and_loses_its_metrics_with_it(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    api.put(kinds.HIPBMM_DEPLOYMENT, resource("before"))
    async with running(api, tmp_path, unused_tcp_port) as operator:
        await operator.until("/readyz", 200)
        api.put(kinds.HIPBMM_DEPLOYMENT, resource())
        for name in ("before", "qwen"):
            await eventually(lambda name=name: ("ns", name) in api.objects[kinds.DEPLOYMENT])  # type: ignore[misc]
            await eventually(lambda name=name: operator.status(name).get("replicas") == 0)  # type: ignore[misc]
        await operator.until("/healthz", 200, "ok\n")
        await operator.until("/metrics", 200, 'name="qwen"')
        _, metrics = await operator.probe("/metrics")
        assert "hipbmm_leader 1.0" in metrics
        assert "hipbmm_deployment_info{" in metrics
        assert api.objects[kinds.LEASE][LEASE]["spec"]["holderIdentity"] == "me"
        api.remove(kinds.DEPLOYMENT, "ns", "qwen")
        await eventually(lambda: ("ns", "qwen") in api.objects[kinds.DEPLOYMENT])
        api.remove(kinds.HIPBMM_DEPLOYMENT, "ns", "qwen")
        await operator.until("/metrics", 200, without='name="qwen"')
    assert api.objects[kinds.LEASE][LEASE]["spec"]["holderIdentity"] == ""


async def test_it_waits_for_an_api_server_that_is_away_and_is_not_ready(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    api.refused["LIST", "pods"] = 503
    async with running(api, tmp_path, unused_tcp_port) as operator:
        await operator.until("/readyz", 503, "the first list is not complete")
        await operator.until("/healthz", 200)
        api.refused.clear()
        await operator.until("/readyz", 200)


async def test_what_may_not_be_seen_is_left_alone_until_it_may_be_seen(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    api.put(kinds.HIPBMM_DEPLOYMENT, resource())
    api.refused |= {("LIST", "pods"): 403, ("WATCH", "pods"): 403}
    async with running(api, tmp_path, unused_tcp_port) as operator:
        await eventually(lambda: "Forbidden" in str(operator.status("qwen").get("conditions")))
        assert not api.objects[kinds.DEPLOYMENT]
        api.refused.clear()
        await eventually(lambda: ("ns", "qwen") in api.objects[kinds.DEPLOYMENT])


async def test_a_watch_that_is_not_answered_fails_the_probes(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    timing = {"watch_seconds": 1.0, "watch_stale_seconds": 5.0}
    async with running(api, tmp_path, unused_tcp_port, **timing) as operator:
        await operator.until("/readyz", 200)
        api.refused["WATCH", "services"] = 503
        api.end_watches()
        await operator.until("/healthz", 503, "a watch is not answered")
        await operator.until("/readyz", 503, "a watch is not answered")


async def test_an_operator_that_does_not_hold_the_lease_writes_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 30, "renewTime": "2026-11-29T07:00:00.000000Z"}
    about = {"name": LEASE[1], "namespace": LEASE[0]}
    api.put(kinds.LEASE, {"metadata": about, "spec": spec})
    api.put(kinds.HIPBMM_DEPLOYMENT, resource())
    async with running(api, tmp_path, unused_tcp_port, lease_seconds=600.0) as operator:
        await operator.until("/readyz", 200)
        await operator.until("/metrics", 200, "hipbmm_leader 0.0")
        assert "hipbmm_workqueue_depth 1.0" in (await operator.probe("/metrics"))[1]
        assert "hipbmm_workqueue_oldest_seconds 0.0" in (await operator.probe("/metrics"))[1]
        assert api.count("PATCH") == api.count("POST") == 0


async def test_an_operator_that_has_lost_the_lease_says_nothing_of_resources(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """What it knew of them last is not true for long, and alerts would fire by it."""
    api = ApiServer()
    api.put(kinds.HIPBMM_DEPLOYMENT, resource())
    async with running(api, tmp_path, unused_tcp_port, lease_renew_seconds=0.2) as operator:
        await operator.until("/metrics", 200, 'name="qwen"')
        lease = api.objects[kinds.LEASE][LEASE]
        taken = {**lease, "spec": {**lease["spec"], "holderIdentity": "another"}}
        async with asyncio.timeout(120):
            while "hipbmm_leader 1.0" in (found := (await operator.probe("/metrics"))[1]):
                api.put(kinds.LEASE, taken)  # again, for a renewal that was under way has replaced it
                await asyncio.sleep(0.05)
        assert 'name="qwen"' not in found


async def test_a_port_that_is_taken_ends_the_operator_with_an_error(tmp_path: Path, unused_tcp_port: int) -> None:
    api = ApiServer()
    async with api.running(tmp_path) as kubeconfig:
        server = await asyncio.start_server(lambda *_: None, port=unused_tcp_port)
        async with server:
            settings = Settings(kubeconfig=kubeconfig, identity="me", http_port=unused_tcp_port)
            with pytest.raises(OSError, match=str(unused_tcp_port)):
                await manager.run(settings)
