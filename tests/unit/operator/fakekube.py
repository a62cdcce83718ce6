"""An API server in memory that accepts everything: the part of `Kube` that reconciles use."""

import copy
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from hipbmm_operator.apply.applier import Applier
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.controller.reconciler import Reconciler
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import WATCHED, Kind
from hipbmm_operator.observe.observer import Observer
from hipbmm_operator.resources.pod_template import Payload
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.workqueue.debounce import Debounce

Json = dict[str, Any]


class FakeKube:
    """Objects by kind, namespace and name, logs by pod and container. `writes` and `reads` say what was asked for."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str, str], Json] = {}
        self.logs: dict[tuple[str, str], str | errors.ApiError] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.forbidden: set[Kind] = set()
        self.reads: list[tuple[str, str]] = []
        self._versions = itertools.count(1)

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        self.reads.append(("get", f"{kind.kind} {name}"))
        if kind in self.forbidden:
            raise errors.ForbiddenError(403, "Forbidden", f"{kind.plural} is forbidden")
        if (kind, namespace, name) not in self.objects:
            raise errors.NotFoundError(404, "NotFound", name)
        return copy.deepcopy(self.objects[kind, namespace, name])

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        try:
            return await self.get(kind, namespace, name)
        except errors.NotFoundError as error:
            if not error.of_object:
                raise
            return None

    async def pages(self, kind: Kind, namespace: str = "", **_: object) -> AsyncIterator[Page]:
        self.reads.append(("list", kind.kind))
        found = [body for (of, at, _), body in self.objects.items() if of == kind and namespace in ("", at)]
        yield Page(copy.deepcopy(found), "0")

    async def apply(self, kind: Kind, body: Json, *, force: bool) -> Json:
        del force
        return self._put("apply", kind, body)

    async def create(self, kind: Kind, body: Json) -> Json:
        if (kind, body["metadata"].get("namespace", ""), body["metadata"]["name"]) in self.objects:
            raise errors.AlreadyExistsError(409, "AlreadyExists", "")
        return self._put("create", kind, body)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        del subresource
        return self._put("merge", kind, _merged(self.objects[kind, namespace, name], patch))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        del uid, resource_version
        self.writes.append(("delete", kind.kind, name))
        self.objects.pop((kind, namespace, name), None)

    async def log(self, _namespace: str, name: str, container: str, *_: object, **_limit: int) -> str:
        self.reads.append(("log", f"{name}/{container}"))
        found = self.logs.get((name, container), "")
        if isinstance(found, errors.ApiError):
            raise found
        return found

    def version(self) -> str:
        """The next resourceVersion."""
        return str(next(self._versions))

    def _put(self, verb: str, kind: Kind, body: Json) -> Json:
        stored = copy.deepcopy(body)
        metadata = stored["metadata"]
        at = (kind, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(at, {"metadata": {"generation": 0}})
        metadata["resourceVersion"] = self.version()
        metadata.setdefault("uid", f"uid-{metadata['resourceVersion']}")
        metadata.setdefault("creationTimestamp", _now().isoformat())
        metadata["generation"] = before["metadata"].get("generation", 0) + (before.get("spec") != stored.get("spec"))
        if verb == "apply" and "status" in before:
            stored["status"] = before["status"]
        self.objects[at] = stored
        self.writes.append((verb, kind.kind, metadata["name"]))
        return copy.deepcopy(stored)


def _merged(before: Json, patch: Json) -> Json:
    after = copy.deepcopy(before)
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict) and isinstance(after.get(key), dict):
            after[key] = _merged(after[key], value)
        else:
            after[key] = copy.deepcopy(value)
    return after


def reconciler(kube: FakeKube, cache: ObjectCache, debounce: Debounce | None = None) -> Reconciler:
    """A reconciler of this API server; what it writes comes back to the cache at once."""

    def saw(kind: Kind, body: Json) -> None:
        if kind not in WATCHED:
            return
        cache.put(kind, prune(kind, body))

    observer = Observer(kube, cache, NodeCache(), lambda: 0.0, 5.0)  # type: ignore[arg-type]  # the part that is used
    return Reconciler(
        kube=kube,  # type: ignore[arg-type]
        cache=cache,
        observer=observer,
        rights=Rights(kube, (), ()),  # type: ignore[arg-type]
        payload=Payload("registry.example/operator:1", "IfNotPresent"),
        status_writer=StatusWriter(kube, saw, lambda: 0.0, 60.0),  # type: ignore[arg-type]
        applier=Applier(kube, saw),  # type: ignore[arg-type]
        now=_now,
        # Each reading of the clock is long after the one before.
        debounce=debounce or Debounce(1.0, itertools.count(0.0, 60.0).__next__),
    )


def _now() -> datetime:
    return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
