"""The API server, as dictionaries. Its errors are those of `errors.py`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import aiohttp

from hipbmm_operator.kube import errors, json_text
from hipbmm_operator.kube.async_client import (
    ApiClient,
    Configuration,
    RESTClientObject,
    load_incluster_config,
    load_kube_config,
)
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import CONTROLLER_REVISION, LEASE, POD, Kind
from hipbmm_operator.kube.names import FIELD_MANAGER
from hipbmm_operator.kube.times import ServerClock

APPLY = "application/apply-patch+yaml; charset=utf-8"
"""With its charset: the client library sends anything else as ASCII, in which YAML has no word for an emoji."""
MERGE = "application/merge-patch+json"
JSON = "application/json"
YAML = "application/yaml"
NOTHING = "metadata.name=none"
"""A field selector for lists and watches that are asked for without wanting an object."""

_KEPT_AS_SENT = frozenset({CONTROLLER_REVISION})
"""Kinds with a part that is stored byte by byte and must never change: the API server writes JSON in another way than
we do, and then refuses any later patch. From YAML it makes JSON of its own."""
_NOT_PRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark after the last object of an initial state."""
_MAX_CONNECTIONS = 64
_LOGS_AT_ONCE = 16
"""Of the connections: beside a request of each worker there are some left, for the Lease, where logs do not come."""
_LOG_BYTES = 65536
_WATCH_BUFFER = 2**14
"""Bytes that a watch reads ahead, at most twice: kopf parses all of them at once, into ten times as much memory."""
_AUTH = ["BearerToken"]
_LEASES = f"/apis/{LEASE.group}/"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    items: list[Json]
    resource_version: str


class Kube:
    """A connection to one API server. Use `connect`, and `close` it."""

    def __init__(self, configuration: Configuration, request_seconds: float) -> None:
        configuration.connection_pool_maxsize = _MAX_CONNECTIONS
        self._client = ApiClient(configuration)
        self._client.user_agent = FIELD_MANAGER
        self._timeout = aiohttp.ClientTimeout(total=request_seconds)
        self._logs = asyncio.Semaphore(_LOGS_AT_ONCE)
        self.clock = ServerClock(partial(datetime.now, UTC))
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write but those of the Lease itself, and before a log is read."""

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._client.configuration.host)

    @classmethod
    async def connect(cls, kubeconfig: str, request_seconds: float, *, proxied: bool) -> "Kube":
        """Connect with a kubeconfig, or with the pod's service account when the path is empty."""
        return cls(await configure(kubeconfig, proxied=proxied), request_seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """One object; raises NotFoundError."""
        return await self._json("GET", kind.path(namespace, name))

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object, or None when there is none of that name, in the API server's own words.

        Raises NotFoundError when it has no such kind just now, or a proxy knows no such path: the object may be there.
        """
        try:
            return await self.get(kind, namespace, name)
        except errors.NotFoundError as error:
            if not error.of_object:
                raise
            return None

    async def pages(
        self, kind: Kind, namespace: str = "", selector: str = "", size: int = 500, fields: str = ""
    ) -> AsyncIterator[Page]:
        """All objects in pages, by labels and fields; raises GoneError when the list took too long: start again."""
        chosen = {"labelSelector": selector, "fieldSelector": fields}
        query = {"limit": str(size)} | {key: value for key, value in chosen.items() if value}
        token = ""
        while True:
            wanted = query | ({"continue": token} if token else {})
            answer = await self._json("GET", kind.path(namespace), wanted)
            if "items" not in answer:  # an empty list would say that everything is gone
                raise errors.UnavailableError(0, "BadAnswer", f"the list of {kind.plural} is none")
            metadata = answer.get("metadata", {})
            yield Page(answer["items"] or [], str(metadata.get("resourceVersion", "")))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def refusal(self, kind: Kind, namespace: str = "", *, watch: bool = True) -> str:
        """Why a kind may not be listed (or watched), in the API server's words; "" when it may. Changes nothing."""
        nothing = {"fieldSelector": NOTHING, "resourceVersion": "0", "timeoutSeconds": "1"}
        try:
            await self._json("GET", kind.path(namespace), {"limit": "1"})
            if watch:
                await self._text(kind.path(namespace), {"watch": "true", **nothing})
        except errors.ForbiddenError as error:
            return error.message
        except errors.NotFoundError:
            return ""  # the kind is not there yet: no question of rights
        return ""

    async def changed(self, kind: Kind, since: str, seconds: int, fields: str = "") -> bool:
        """Whether any object of a kind changes within so many seconds, or has changed since that resourceVersion."""
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(seconds)}
        query |= {"fieldSelector": fields} if fields else {}
        return bool((await self._text(kind.path(), query)).strip())

    async def streams_lists(self, kind: Kind, namespace: str = "") -> bool:
        """Whether a watch can begin with all objects in place of a list (WatchList, on from Kubernetes 1.34)."""
        asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
        query = {"watch": "true", "fieldSelector": NOTHING, "timeoutSeconds": "1", **asked}
        try:
            return _INITIAL_EVENTS_END in await self._text(kind.path(namespace), query)
        except errors.InvalidError:
            return False

    async def apply(self, kind: Kind, body: Json, *, force: bool) -> Json:
        """Server-side apply; without `force` a field of another manager raises ConflictError."""
        metadata = body["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower(), "fieldValidation": "Strict"}
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return await self._json("PATCH", path, query, body, APPLY)

    async def create(self, kind: Kind, body: Json) -> Json:
        """Create; raises AlreadyExistsError."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = kind.path(body["metadata"].get("namespace", ""))
        return await self._json("POST", path, query, body, YAML if kind in _KEPT_AS_SENT else JSON)

    async def try_create(self, kind: Kind, body: Json) -> None:
        """Have everything checked that a create is checked for, and create nothing. Raises what a create raises."""
        path = kind.path(body["metadata"].get("namespace", ""))
        await self._json("POST", path, {"fieldManager": FIELD_MANAGER, "dryRun": "All"}, body)

    async def server_version(self) -> str:
        """Version of the API server, such as `v1.37.2`."""
        return str((await self._json("GET", "/version")).get("gitVersion", ""))

    async def replace(self, kind: Kind, body: Json) -> Json:
        """Replace the object of that resourceVersion; raises ConflictError when it has changed."""
        metadata = body["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return await self._json("PUT", path, {"fieldManager": FIELD_MANAGER}, body, JSON)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        """JSON merge patch. A `metadata.uid` in it is a precondition."""
        path = kind.path(namespace, name, subresource)
        return await self._json("PATCH", path, {"fieldManager": FIELD_MANAGER}, patch, MERGE)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        """Delete exactly that object, in the background. One that is gone already is fine."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        try:
            await self._json("DELETE", kind.path(namespace, name), body=body)
        except errors.NotFoundError:
            return

    async def log(
        self, namespace: str, pod: str, container: str, lines: int | None = None, limit: int = _LOG_BYTES
    ) -> str:
        """The last lines of a container's log, without `lines` its beginning: `limit` bytes, by default 64 KiB.

        Read for what is written then, so not without the Lease: in an outage each takes as long as a request may.
        """
        query = {"container": container, "limitBytes": str(limit)}
        query |= {} if lines is None else {"tailLines": str(lines)}
        async with self._logs:
            self._need_lease()
            return await self._text(POD.path(namespace, pod, "log"), query)

    def _need_lease(self) -> None:
        if not self.may_write():
            raise errors.UnavailableError(0, "NotLeader", "another operator may hold the Lease")

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = JSON,
    ) -> Json:
        try:
            answer = json_text.loads(await self._data(method, path, query or {}, body, content_type))
        except ValueError:
            raise errors.UnavailableError(0, "BadAnswer", f"{method} {path} gave no JSON") from None
        if not isinstance(answer, dict):
            raise errors.UnavailableError(0, "BadAnswer", f"{method} {path} gave no object")
        return answer

    async def _text(self, path: str, query: Mapping[str, str]) -> str:
        return (await self._data("GET", path, query, None, JSON)).decode("utf-8", "replace")

    async def _data(
        self, method: str, path: str, query: Mapping[str, str], body: Json | None, content_type: str
    ) -> bytes:
        if method != "GET" and not path.startswith(_LEASES):
            self._need_lease()
        sent = as_yaml(body) if content_type in (YAML, APPLY) else body
        try:
            # param_serialize adds the credentials and refreshes a rotated token; the body goes as it is.
            _, url, headers, _, _ = await self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Accept": JSON, "Content-Type": content_type},
                auth_settings=_AUTH,
            )
            answer = await self._client.call_api(method, url, headers, sent, _request_timeout=self._timeout)
            self.clock.heard(answer.headers.get("Date"))
            data: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise errors.UnavailableError(0, type(error).__name__, f"{method} {path}: {error}") from error
        if answer.status >= errors.FIRST_ERROR:
            raise errors.from_status(answer.status, _status_object(data), answer.headers.get("Retry-After"))
        return data


def as_yaml(body: Json | None) -> str:
    """JSON that is YAML as well: characters that YAML does not print are escaped."""
    text = json.dumps(body, ensure_ascii=False)
    return _NOT_PRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _status_object(data: bytes) -> Json:
    try:
        answer = json_text.loads(data)
    except ValueError:
        return {"message": data.decode("utf-8", "replace")[:200]}
    return answer if isinstance(answer, dict) else {}


async def configure(kubeconfig: str, *, proxied: bool) -> Configuration:
    """Server and credentials from a kubeconfig, or of the pod's service account when the path is empty."""
    configuration = Configuration()
    # Otherwise each request looks for a proxy in the environment, and for a .netrc in the file system.
    configuration.client_session_kwargs = {"trust_env": proxied}
    if kubeconfig:
        await load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    return configuration


async def open_session(
    kubeconfig: str, traces: list[aiohttp.TraceConfig], *, proxied: bool
) -> tuple[aiohttp.ClientSession, str]:
    """A session for long watches, and the server's address. A new one has to be opened when its token has expired."""
    configuration = await configure(kubeconfig, proxied=proxied)
    settings = await configuration.auth_settings()
    token = settings.get("BearerToken", {}).get("value")
    connector = aiohttp.TCPConnector(limit=0, ssl=RESTClientObject(configuration).ssl_context)
    session = aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": FIELD_MANAGER} | ({"Authorization": token} if token else {}),
        read_bufsize=_WATCH_BUFFER,
        trace_configs=traces,
        trust_env=proxied,
    )
    return session, str(configuration.host)
