"""A proxy between an operator and the real API server, that injects the faults it is given.

Plain HTTP on loopback towards the operator; what is not told otherwise passes unchanged, watches line by line.
"""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

Json = dict[str, Any]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HOLD_SECONDS = 0.05
_HOP = {"transfer-encoding", "content-length", "connection", "content-encoding", "host"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as rules see it."""

    method: str
    path: str
    watch: bool

    @property
    def list(self) -> bool:
        """A list, or one object."""
        return self.method == "GET" and not self.watch

    @property
    def write(self) -> bool:
        """A write that is not the Lease's."""
        return self.method in WRITES and "/leases" not in self.path


@dataclass(slots=True)
class Rule:
    """A fault for the requests that it matches, at most `times` times."""

    matches: Callable[[Call], bool]
    times: int = 1_000_000
    delay: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop_before: bool = False
    """Close the connection without passing the request on."""
    drop_after: bool = False
    """Pass the request on, and close the connection without an answer."""
    keep: Callable[[Json], bool] | None = None
    """Of a watch, pass on only these events."""
    cut_after: int | None = None
    """Of a watch, close the stream after so many events."""
    insert: Json | None = None
    """Of a watch, send this event first, and end."""
    hold: threading.Event | None = None
    """Do not answer until this is set; a request that was given up meanwhile is not passed on."""
    stale: dict[str, bytes] | None = None
    """Of a list, answer what it said the first time: by path, filled by the first answers."""
    hits: int = 0

    def takes(self, call: Call) -> bool:
        """Whether it applies now; counts."""
        if self.hits >= self.times or not self.matches(call):
            return False
        self.hits += 1
        return True


def writes(call: Call) -> bool:
    return call.write


def watches(call: Call) -> bool:
    return call.watch


def lists(call: Call) -> bool:
    return call.list and "/leases" not in call.path


def everything(_call: Call) -> bool:
    return True


def anything(call: Call) -> bool:
    return "/leases" not in call.path


class Proxy:
    """Runs in a thread of its own until `close`."""

    def __init__(self, kubeconfig: Path, scratch: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._token = config["users"][0]["user"]["token"]
        self._ssl = _trust(cluster)
        self.rules: list[Rule] = []
        self.after_write: Callable[[int, Call], None] = lambda _count, _call: None
        self.writes = 0
        self.refuse = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        self.kubeconfig = scratch / "proxy.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def close(self) -> None:
        """Stop."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._begin())
        self._loop.run_forever()

    async def _begin(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._ready.set()

    async def _end(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.method, request.path, request.query.get("watch") == "true")
        rule = next((rule for rule in self.rules if rule.takes(call)), None) or Rule(anything)
        if rule.delay:
            await asyncio.sleep(rule.delay)
        while rule.hold is not None and not rule.hold.is_set() and not _given_up(request):  # noqa: ASYNC110  # a thread's
            await asyncio.sleep(_HOLD_SECONDS)
        if self.refuse or rule.drop_before or _given_up(request):
            return _hang_up(request)
        if rule.status:
            body = {"kind": "Status", "code": rule.status, "reason": "Injected", "message": "injected by the test"}
            return web.json_response(body, status=rule.status, headers=rule.headers)
        return await self._pass(request, call, rule)

    async def _pass(self, request: web.Request, call: Call, rule: Rule) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        headers["Authorization"] = f"Bearer {self._token}"
        data = await request.read()
        url = self._server + request.path_qs
        async with self._session.request(request.method, url, data=data or None, headers=headers) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
            if call.watch and answer.status == 200:
                return await self._stream(request, answer, kept, rule)
            body = await answer.read()
        if rule.stale is not None and call.list and answer.status == 200:
            body = rule.stale.setdefault(request.path_qs, body)
        if call.write:
            self.writes += 1
            self.after_write(self.writes, call)
        if rule.drop_after:
            return _hang_up(request)
        return web.Response(status=answer.status, body=body, headers=kept)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str], rule: Rule
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        if rule.insert is not None:
            await response.write(json.dumps(rule.insert).encode() + b"\n")
            return response
        passed = 0
        async for line in _lines(answer):
            if self.refuse or (rule.cut_after is not None and passed >= rule.cut_after):
                return _hang_up(request)
            if rule.keep is None or rule.keep(json.loads(line)):
                await response.write(line + b"\n")
                passed += 1
        return response


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    buffer = b""
    async for chunk in answer.content.iter_any():
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _given_up(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _trust(cluster: Json) -> ssl.SSLContext:
    if "certificate-authority" in cluster:
        return ssl.create_default_context(cafile=cluster["certificate-authority"])
    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
