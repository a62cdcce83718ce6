"""Probes and metrics over HTTP: what the process says, as the kubelet and Prometheus get it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from hipbmm_operator.telemetry import metrics
from hipbmm_operator.telemetry.http_server import serving


@asynccontextmanager
async def served(port: int, health: str | None = None, ready: str | None = None) -> AsyncIterator[str]:
    async with serving(port, lambda: health, lambda: ready):
        yield f"http://127.0.0.1:{port}"


async def answer(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_a_process_that_is_well_says_ok(unused_tcp_port: int) -> None:
    async with served(unused_tcp_port) as url:
        assert await answer(f"{url}/healthz") == (200, "ok\n")
        assert await answer(f"{url}/readyz") == (200, "ok\n")


async def test_each_probe_says_its_own_problem(unused_tcp_port: int) -> None:
    async with served(unused_tcp_port, health="a watch is not answered", ready="the first list is not complete") as url:
        assert await answer(f"{url}/healthz") == (503, "a watch is not answered\n")
        assert await answer(f"{url}/readyz") == (503, "the first list is not complete\n")


async def test_metrics_are_measured_when_they_are_asked_for(unused_tcp_port: int) -> None:
    async with served(unused_tcp_port) as url:
        metrics.QUEUE_DEPTH.set_function(lambda: 7)
        _, text = await answer(f"{url}/metrics")
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert samples["hipbmm_workqueue_depth"] == 7


async def test_nothing_else_is_served(unused_tcp_port: int) -> None:
    async with served(unused_tcp_port) as url:
        assert (await answer(f"{url}/"))[0] == 404
