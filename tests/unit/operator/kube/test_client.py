"""What is sent to the API server, and what its answers say beside the objects."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.apiserver import eventually

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.async_client import Configuration
from hipbmm_operator.kube.client import Kube, as_yaml


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    )
)
def test_what_is_sent_as_yaml_reads_as_it_was(value: object) -> None:
    text = as_yaml({"data": value})
    assert yaml.safe_load(text) == json.loads(text) == {"data": value}


async def test_the_clock_is_that_of_the_api_server() -> None:
    behind = timedelta(minutes=10)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Date": format_datetime(datetime.now(UTC) - behind, usegmt=True)})

    app = web.Application()
    app.router.add_get("/version", answer)
    async with TestServer(app) as server:
        kube = Kube(Configuration(host=str(server.make_url("")).rstrip("/")), 60)
        await kube.server_version()
        await kube.close()
    assert abs(datetime.now(UTC) - kube.clock.now() - behind) < timedelta(seconds=60)


async def test_only_the_api_server_says_that_an_object_is_not_there() -> None:
    """What is not there changes pods; a proxy that knows no such path says nothing about it."""

    async def absent(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/configmaps/c", absent)
    async with TestServer(app) as server:
        kube = Kube(Configuration(host=str(server.make_url("")).rstrip("/")), 60)
        assert await kube.find(kinds.CONFIG_MAP, "ns", "c") is None
        with pytest.raises(errors.NotFoundError):
            await kube.find(kinds.SECRET, "ns", "c")
        await kube.close()


async def test_logs_that_do_not_come_leave_connections_to_all_others() -> None:
    """As those of 100 pods whose nodes are away: the Lease has to be renewed meanwhile."""
    asked, away = list[str](), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.endswith("/log"):
            await away.wait()
        return web.json_response({"metadata": {}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        kube = Kube(Configuration(host=str(server.make_url("")).rstrip("/")), 60)
        logs = [asyncio.create_task(kube.log("ns", f"p{number}", "server")) for number in range(100)]
        await eventually(lambda: len(asked) >= 16)
        async with asyncio.timeout(30):
            assert await kube.get(kinds.LEASE, "ns", "ours") == {"metadata": {}}
        away.set()
        assert len(await asyncio.gather(*logs)) == 100
        await kube.close()
