"""An API server on loopback that keeps what it is given: lists in pages, watches, writes, and refusals on request.

It checks nothing and defaults nothing. What a real API server does with an object is for tests/cluster.
"""

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
_CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
_READ = (kinds.EVENT, kinds.LEASE, kinds.STORAGE_CLASS, kinds.NAMESPACE, kinds.LIMIT_RANGE)
_DEVICES = (kinds.RESOURCE_SLICES[0], kinds.DEVICE_CLASSES[0])
SERVED = (*kinds.WATCHED, *_READ, *_DEVICES, _CRD)
_END = {"k8s.io/initial-events-end": "true"}


async def eventually(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something holds that another thread brings about."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0.01)


class At(NamedTuple):
    """What a path is about."""

    kind: Kind
    namespace: str
    name: str
    sub: str


class ApiServer:
    """Objects by kind, namespace and name. `streaming`: watches can begin with the whole state."""

    def __init__(self, *, streaming: bool = True) -> None:
        self.streaming = streaming
        self.objects: dict[Kind, dict[tuple[str, str], Json]] = defaultdict(dict)
        self.refused: dict[tuple[str, str], int] = {}
        """HTTP status by method (WATCH and LIST for reads of collections) and plural."""
        self.hung: set[str] = set()
        """Plurals whose watches get no answer."""
        self.unserved: set[str] = set()
        """Versions of its API that it does not have, such as `resource.k8s.io/v1`."""
        self.requests: list[str] = []
        self.stale = False
        """Watches are told that their resourceVersion is too old."""
        self._version = 1
        self._log: list[tuple[int, Kind, str, Json]] = []
        self._changed = asyncio.Event()

    def put(self, kind: Kind, body: Json, *, quietly: bool = False) -> Json:
        """Create or replace; `quietly` without an event, as if that were lost."""
        stored = copy.deepcopy(body)
        about = stored["metadata"]
        at = (about.get("namespace", ""), about["name"])
        before = self.objects[kind].get(at)
        self._version += 1
        about["resourceVersion"] = str(self._version)
        about.setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self._version}")
        self.objects[kind][at] = stored
        if not quietly:
            self._event(kind, "MODIFIED" if before else "ADDED", stored)
        return copy.deepcopy(stored)

    def remove(self, kind: Kind, namespace: str, name: str, *, quietly: bool = False) -> None:
        """Delete; `quietly` without an event."""
        gone = self.objects[kind].pop((namespace, name))
        self._version += 1
        if not quietly:
            gone["metadata"]["resourceVersion"] = str(self._version)
            self._event(kind, "DELETED", gone)

    def end_watches(self) -> None:
        """Each watch has to begin anew: its version is too old."""
        self.stale = True
        self._wake()

    def count(self, what: str) -> int:
        """How many requests contained this."""
        return sum(what in request for request in self.requests)

    def _event(self, kind: Kind, event: str, body: Json) -> None:
        self._log.append((self._version, kind, event, copy.deepcopy(body)))
        self._wake()

    def _wake(self) -> None:
        """Wake each watch; one that looks later waits for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self, scratch: Path, prefix: str = "") -> AsyncIterator[str]:
        """Serve; the path of a kubeconfig. `prefix`: path of the server's address, as behind a gateway."""
        application = web.Application()
        application.router.add_route("*", prefix + "/{path:.*}", self._answer)
        async with TestServer(application) as server:
            config = {
                "clusters": [{"name": "c", "cluster": {"server": str(server.make_url(prefix or "/")).rstrip("/")}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
            path = scratch / "kubeconfig"
            path.write_text(yaml.safe_dump(config))
            yield str(path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.requests.append(f"{request.method} /{path}?{request.query_string}")
        at = _at(path)
        if any(path.startswith(f"apis/{version}/") for version in self.unserved):
            return _status(404, "the server could not find the requested resource")
        if at is None:
            return _discovery(path)
        watch = "watch" in request.query
        verb = request.method if at.name or request.method != "GET" else "WATCH" if watch else "LIST"
        if status := self.refused.get((verb, at.kind.plural)):
            return _status(status, f"{verb} {at.kind.plural} is refused")
        if watch:
            return await self._watch(request, at)
        if verb == "LIST":
            return self._list(request, at)
        return await self._one(request, at)

    async def _one(self, request: web.Request, at: At) -> web.Response:
        written = await request.text()  # first: what is held may go meanwhile, and a write must not bring it back
        held = self.objects[at.kind].get((at.namespace, at.name))
        merges = request.content_type == "application/merge-patch+json"
        if request.method in ("POST", "PUT", "PATCH") and not (merges and held is None):
            body = yaml.safe_load(written) if request.content_type == "application/yaml" else json.loads(written)
            body["metadata"] = {"name": at.name, "namespace": at.namespace, **body.get("metadata", {})}
            if request.method == "PATCH" and held is not None:
                body = _merged(held, body)
            return web.json_response(self.put(at.kind, body), status=201 if held is None else 200)
        if held is None:
            return _status(404, f"{at.name} not found", "NotFound")
        if request.method == "DELETE":
            self.remove(at.kind, at.namespace, at.name)
        return web.json_response(held)

    def _selected(self, request: web.Request, at: At) -> list[Json]:
        if request.query.get("fieldSelector") == "metadata.name=none":
            return []
        return [body for (namespace, _), body in self.objects[at.kind].items() if at.namespace in ("", namespace)]

    def _list(self, request: web.Request, at: At) -> web.Response:
        found = self._selected(request, at)
        first = int(request.query.get("continue", "0"))
        last = first + int(request.query.get("limit", "0") or len(found))
        page = found[first:last]
        if "PartialObjectMetadata" in request.headers["Accept"]:
            page = [{"metadata": body["metadata"]} for body in page]
        about = {"resourceVersion": str(self._version)} | ({"continue": str(last)} if last < len(found) else {})
        return web.json_response({"kind": f"{at.kind.kind}List", "metadata": about, "items": page})

    async def _watch(self, request: web.Request, at: At) -> web.StreamResponse:
        initial = request.query.get("sendInitialEvents") == "true"
        if initial and not self.streaming:
            return _status(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        await eventually(lambda: at.kind.plural not in self.hung)
        answer = web.StreamResponse()
        await answer.prepare(request)
        seen = self._version if initial else int(request.query.get("resourceVersion") or self._version)
        self.stale = False
        if initial:
            for body in self._selected(request, at):
                await _send(answer, "ADDED", body)
            await _send(answer, "BOOKMARK", {"metadata": {"resourceVersion": str(seen), "annotations": _END}})
        nothing = request.query.get("fieldSelector") == "metadata.name=none"
        sent, until = 0, float(request.query.get("timeoutSeconds", "inf"))
        loop = asyncio.get_running_loop()
        end = loop.time() + until
        while not (nothing or self.stale):
            while sent < len(self._log):
                version, kind, event, body = self._log[sent]
                sent += 1
                if version > seen and kind == at.kind and at.namespace in ("", body["metadata"].get("namespace", "")):
                    await _send(answer, event, body)
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                break
        if self.stale:
            await _send(answer, "ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
        return answer


def _merged(before: Json, patch: Json) -> Json:
    after = copy.deepcopy(before)
    for key, value in patch.items():
        both = isinstance(value, dict) and isinstance(after.get(key), dict)
        after[key] = _merged(after[key], value) if both else copy.deepcopy(value)
    return {key: value for key, value in after.items() if value is not None}


async def _send(answer: web.StreamResponse, event: str, body: Json) -> None:
    await answer.write(json.dumps({"type": event, "object": body}).encode() + b"\n")


def _status(code: int, message: str, reason: str = "") -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message, "reason": reason}, status=code)


def _at(path: str) -> At | None:
    """Kind, namespace and name of a path; None for discovery."""
    parts = path.split("/")
    group, rest = ("", parts[1:]) if parts[0] == "api" else ("/".join(parts[1:2]), parts[2:])
    if len(rest) < 2:
        return None
    rest, namespace = rest[1:], ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    kind = next((kind for kind in SERVED if (kind.group, kind.plural) == (group, rest[0])), None)
    if kind is None:
        raise web.HTTPNotFound(text='{"kind": "Status", "code": 404}', content_type="application/json")
    name, sub = (*rest[1:], "", "")[:2]
    return At(kind, namespace, name, sub)


def _discovery(path: str) -> web.Response:
    groups = sorted({(kind.group, kind.version) for kind in SERVED if kind.group})
    if path == "api":
        return web.json_response({"versions": ["v1"]})
    if path == "apis":
        versions = [{"name": group, "version": {"groupVersion": f"{group}/{v}", "version": v}} for group, v in groups]
        return web.json_response(
            {
                "groups": [
                    {"name": each["name"], "versions": [each["version"]], "preferredVersion": each["version"]}
                    for each in versions
                ]
            }
        )
    here = path.removeprefix("apis/").removeprefix("api/")
    resources = [
        {
            "name": kind.plural,
            "singularName": kind.kind.lower(),
            "kind": kind.kind,
            "namespaced": kind.namespaced,
            "verbs": ["list", "watch", "get", "patch", "create", "delete"],
        }
        for kind in SERVED
        if kind.api_version == here
    ]
    return web.json_response({"groupVersion": here, "resources": resources})
