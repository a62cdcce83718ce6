"""What has to be read besides the watched objects, only while something is on its way or wrong; nothing at rest."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.times import moment
from hipbmm_operator.observe.observed import NO_PULL_SECRET, Note
from hipbmm_operator.pods import contract, failures, report, stall
from hipbmm_operator.pods.pod import Pod

MOST = 4096
"""Entries of one memory: some for each pod of a large cluster."""


def trim(memory: dict[Any, Any]) -> None:
    """Forget the entries that were put in first: most likely of objects that are gone."""
    while len(memory) > MOST:
        del memory[next(iter(memory))]


LOG = logging.getLogger(__name__)
T = TypeVar("T")

_LOG_LINES = 20
_STUCK = timedelta(seconds=20)
_NOTE_SECONDS = 10.0
_SECRET_SECONDS = 60.0
_HEAD_BYTES = 4096
_TELLING = frozenset(
    {
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
        "FailedCreatePodContainer",
        "ProvisioningFailed",
        "WaitForFirstConsumer",
        "FailedBinding",
        "ExternalProvisioning",
    }
)
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for one resource, and when to look again."""

    progress: report.Progress | None = None
    stalled: bool = False
    starts: dict[str, report.Start] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)
    storage_class: bool | None = None
    again: float | None = None


@dataclass(slots=True)
class _Memory:
    at: float
    value: Any


class Look:
    """Reads logs and Events, no more often than it must."""

    def __init__(self, kube: Kube, progress_seconds: float, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._progress_seconds = progress_seconds
        self._clock = clock
        self._memory: dict[tuple[str, str], _Memory] = {}
        self._reading: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._paces: dict[str, stall.Pace] = {}

    async def at(self, namespace: str, pods: Iterable[Pod], claim: Json | None, now: datetime) -> Seen:
        """Progress of the first pod that tunes, how crashed servers started again, Events about what is stuck."""
        warming = sorted((pod for pod in pods if pod.warming), key=lambda pod: pod.name)
        again: list[float] = []
        progress, stalled = None, False
        if warming:
            progress = await self._progress(warming[0])
            stalled = self._stalled(warming[0], progress)
            again.append(self._progress_seconds)
        starts: dict[str, report.Start] = {}
        notes: dict[str, Note] = {}
        for pod in pods:
            if _started_again(pod) and not await self._start(starts, pod):
                again.append(_NOTE_SECONDS)
            if _waits(pod):
                again.append(_NOTE_SECONDS)
                await self._note(notes, namespace, kinds.POD, pod.uid, _age(pod.created, now))
            elif failures.pull_is_refused(pod):
                await self._secret(notes, namespace, pod.uid)
        pending = claim is not None and (claim.get("status") or {}).get("phase") == "Pending"
        storage_class = None
        if claim is not None and pending:
            again.append(_NOTE_SECONDS)
            metadata = claim.get("metadata") or {}
            storage_class = await self._storage_class(claim)
            age = _age(moment(metadata.get("creationTimestamp")), now)
            await self._note(notes, namespace, kinds.CLAIM, str(metadata.get("uid")), age)
        return Seen(progress, stalled, starts, notes, storage_class, min(again, default=None))

    def _stalled(self, pod: Pod, progress: report.Progress | None) -> bool:
        if progress is None:
            return False
        now = self._clock()
        self._paces[pod.uid] = stall.step(self._paces.get(pod.uid), progress, now)
        trim(self._paces)
        return stall.stalled(self._paces[pod.uid], now)

    async def _start(self, starts: dict[str, report.Start], pod: Pod) -> bool:
        """How the server was started this time: the beginning of its log says it, and is read until it does."""
        server = pod.containers[contract.SERVER]

        async def read() -> report.Start | None:
            return report.parse_start(await self._kube.log_head(pod.namespace, pod.name, contract.SERVER, _HEAD_BYTES))

        run = f"{pod.uid}/{server.restarts}"
        known = self._memory.get(("start", run))
        wait = float("inf") if known is not None and known.value is not None else _NOTE_SECONDS * 0.9
        start = await self._remembered("start", run, wait, read)
        if start is not None:
            starts[pod.uid] = start
        return start is not None

    async def _secret(self, notes: dict[str, Note], namespace: str, uid: str) -> None:
        """Whether an image cannot be pulled because a pull secret is missing: the kubelet tells it in an Event only."""
        told = await self._told(namespace, kinds.POD, frozenset({NO_PULL_SECRET}), _SECRET_SECONDS)
        if uid in told:
            notes[uid] = told[uid]

    async def _progress(self, pod: Pod) -> report.Progress | None:
        async def read() -> report.Progress | None:
            text = await self._kube.log(pod.namespace, pod.name, contract.WARM, _LOG_LINES)
            return report.parse_progress(text)

        return await self._remembered("progress", pod.uid, self._progress_seconds * 0.9, read)

    async def _note(self, notes: dict[str, Note], namespace: str, kind: Kind, uid: str, age: timedelta) -> None:
        if age < _STUCK:
            return
        told = await self._told(namespace, kind, _TELLING, _NOTE_SECONDS * 0.9)
        if uid in told:
            notes[uid] = told[uid]

    async def _told(self, namespace: str, kind: Kind, reasons: frozenset[str], seconds: float) -> dict[str, Note]:
        """What Events tell about objects of a kind, by uid.

        One list for all that is stuck in a namespace: the API server reads every Event of it for each list.
        """

        async def read() -> dict[str, Note]:
            pages = self._kube.pages(kinds.EVENT, namespace, fields=f"involvedObject.kind={kind.kind}")
            return telling([event async for page in pages for event in page.items if event.get("reason") in reasons])

        what = f"notes of {kind.plural}" if reasons is _TELLING else "secrets"
        return await self._remembered(what, namespace, seconds, read) or {}

    async def _storage_class(self, claim: Json) -> bool | None:
        """Whether the claim's class exists, or a default one when it names none; None when that may not be read."""
        name = (claim.get("spec") or {}).get("storageClassName")
        if name == "":
            return None

        async def read() -> bool:
            if not name:
                pages = [page async for page in self._kube.pages(kinds.STORAGE_CLASS)]
                return any(_is_default(body) for page in pages for body in page.items)
            try:
                await self._kube.get(kinds.STORAGE_CLASS, "", str(name))
            except errors.NotFoundError:
                return False
            return True

        return await self._remembered("class", str(name or ""), _NOTE_SECONDS * 0.9, read)

    async def _remembered(self, what: str, uid: str, seconds: float, read: Callable[[], Awaitable[T]]) -> T | None:
        """The answer of `read`, at most so old. What cannot be read now is unknown, or as it was."""
        at = (what, uid)
        memory = self._memory.get(at)
        if memory is not None and self._clock() - memory.at < seconds:
            known: T | None = memory.value
            return known
        if at not in self._reading:
            # Many reconciles may want the same at once: it is read once for all of them.
            self._reading[at] = asyncio.create_task(self._read(at, read, memory.value if memory else None))
        value: T | None = await asyncio.shield(self._reading[at])
        return value

    async def _read(self, at: tuple[str, str], read: Callable[[], Awaitable[T]], before: T | None) -> T | None:
        value = before
        try:
            value = await read()
        except errors.ApiError as error:
            LOG.debug("Could not read %s of %s: %s", *at, error)
        finally:
            del self._reading[at]
        self._memory.pop(at, None)
        self._memory[at] = _Memory(self._clock(), value)
        trim(self._memory)
        return value


def telling(events: Iterable[Json]) -> dict[str, Note]:
    """The newest of these Events about each object, by its uid."""
    found: dict[str, Note] = {}
    for event in sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")):
        uid = str((event.get("involvedObject") or {}).get("uid", ""))
        found[uid] = Note(str(event["reason"]), str(event.get("message", ""))[:1000])
    return found


def _waits(pod: Pod) -> bool:
    """Scheduled, but no container of it has ever run and none says why."""
    if not pod.live or not pod.node or pod.ready:
        return False
    containers = pod.containers.values()
    untouched = all(not (c.running or c.ended or c.last or c.restarts) for c in containers)
    return untouched and all(c.waiting in ("", "PodInitializing", "ContainerCreating") for c in containers)


def _started_again(pod: Pod) -> bool:
    """Its server runs, and did not run for the first time."""
    server = pod.containers.get(contract.SERVER)
    return pod.live and server is not None and server.running and server.restarts > 0


def _age(since: datetime | None, now: datetime) -> timedelta:
    return now - since if since is not None else timedelta(0)


def _is_default(body: Json) -> bool:
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get(_DEFAULT_CLASS) == "true")
