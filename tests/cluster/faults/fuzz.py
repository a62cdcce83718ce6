"""Random specs through a real API server: what it accepts, the operator deals with, and goes on."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.faults.rig import Rig
from tests.cluster.world import resource

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

_BATCH = 25
_SERVER_ERROR = 500
_SECONDS = 600.0
_TYPES = 8
"""Conditions of every resource that was seen; one that cannot go on is Stalled besides."""


@dataclass
class Tally:
    """What became of the specs."""

    accepted: int = 0
    refused: int = 0


def run(one: Rig, specs: Iterable[Json]) -> Tally:
    """Create each, change it into another, delete it, some at a time. Raises on an answer of 5xx."""
    tally = Tally()
    pairs = zip(*[iter(specs)] * 2, strict=False)
    for number, batch in enumerate(_batches(pairs)):
        names = [f"fuzz-{number}-{entry}" for entry in range(len(batch))]
        with ThreadPoolExecutor(4) as pool:
            first = list(pool.map(lambda at: _create(one, *at), zip(names, (a for a, _ in batch), strict=True)))
            _settle(one, [name for name, ok in zip(names, first, strict=True) if ok])
            second = list(pool.map(lambda at: _change(one, *at), zip(names, (b for _, b in batch), strict=True)))
            _settle(one, [name for name, ok in zip(names, second, strict=True) if ok])
            list(pool.map(lambda name: one.place.api.delete(kinds.HIPBMM_DEPLOYMENT, one.name, name), names))
        tally.accepted += sum(first) + sum(second)
        tally.refused += 2 * len(batch) - sum(first) - sum(second)
    return tally


def _batches(pairs: Iterator[tuple[Json, Json]]) -> Iterator[list[tuple[Json, Json]]]:
    while batch := list(itertools.islice(pairs, _BATCH)):
        yield batch


def _body(one: Rig, name: str, spec: Json) -> Json:
    return resource(one.name, name) | {"spec": spec}


def _create(one: Rig, name: str, spec: Json) -> bool:
    return _accepted(one.place.api, "POST", kinds.HIPBMM_DEPLOYMENT.path(one.name), _body(one, name, spec))


def _change(one: Rig, name: str, spec: Json) -> bool:
    """Take another spec, or be created with it when the first one was refused."""
    live = one.place.api.find(kinds.HIPBMM_DEPLOYMENT, one.name, name)
    if live is None:
        return _create(one, name, spec)
    body = _body(one, name, spec)
    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    # Somebody writes the status at the same time: then the change was not refused, but comes too late.
    return _accepted(one.place.api, "PUT", kinds.HIPBMM_DEPLOYMENT.path(one.name, name), body)


def _accepted(api: Api, method: str, path: str, body: Json) -> bool:
    try:
        api.request(method, path, body)
    except ApiStatusError as error:
        if error.status >= _SERVER_ERROR:
            raise
        return False
    return True


def _settle(one: Rig, names: list[str]) -> None:
    """Wait until the operator has seen each generation."""

    def unseen() -> dict[str, Json]:
        bodies = {body["metadata"]["name"]: body for body in one.place.api.items(kinds.HIPBMM_DEPLOYMENT, one.name)}
        return {name: bodies[name] for name in names if not _seen(bodies[name])}

    try:
        until("every resource to be seen", lambda: not unseen(), _SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}: {unseen()}") from None


def _seen(body: Json) -> bool:
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"]["generation"]
    return current and len(status.get("conditions", [])) >= _TYPES
