"""What is read besides the watched objects, only while something is on its way or wrong; nothing at rest."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import get_args

from hipbmm_operator.api.reasons import Event
from hipbmm_operator.kube import errors, kinds, metadata, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import object_at
from hipbmm_operator.kube.text import printable
from hipbmm_operator.observe.observed import NO_PULL_SECRET, UNPLACED, Note, OnDemandFacts
from hipbmm_operator.observe.read_cache import ReadCache, trim
from hipbmm_operator.observe.served_from import ServedFromReads
from hipbmm_operator.pods import contract, failures, report, stall
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.resources.references import Keys, Named
from hipbmm_operator.resources.volume_claim import StoredClaim

_LOG_LINES = 20
_STUCK = timedelta(seconds=20)
_EVENT_SECONDS = 10.0
_SECRET_SECONDS = 60.0
_HEAD_BYTES = 4096
_CONFIG_SECONDS = 60.0
"""After so long a changed ConfigMap of the user's reaches the pods."""
_REFUSED_SECONDS = 600.0
"""The right to read Secrets is not asked for again in a namespace for so long."""
EVENT_REASONS: tuple[str, ...] = (
    *get_args(Event),
    "FailedBinding",
    "ExternalProvisioning",
    "WaitForPodScheduled",
    UNPLACED,
)
"""Of Events about what is stuck. The newest counts: that a provisioner is at work, too. Some schedulers write no more.
"""
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class OnDemandReads:
    """Reads logs and Events, no more often than it must."""

    def __init__(self, kube: Kube, progress_seconds: float, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._progress_seconds = progress_seconds
        self._clock = clock
        self._kept = ReadCache(clock, forgotten=float("inf"))
        self._speeds: dict[str, stall.Speed] = {}
        self._refused: dict[str, tuple[float, float]] = {}
        """By namespace since when Secrets may not be read, and until when they are not asked for."""
        self._served_from = ServedFromReads(kube, clock)

    async def at(
        self, namespace: str, pods: Sequence[Pod], claim: StoredClaim | None, now: datetime, referred: Sequence[Named]
    ) -> OnDemandFacts:
        """Progress of the pod that tunes, how servers started, what their processes say, Events about what is stuck.

        `referred` are the objects that the spec refers to: a user's own are not watched.
        """
        warming = min((pod for pod in pods if pod.warming), key=lambda pod: pod.name, default=None)
        again: list[float] = []
        progress = await self._progress(warming) if warming else None
        if warming:
            again.append(self._progress_seconds)
        asked = [pod for pod in pods if self._asks_for_start(pod)]
        # All at once: of a node that is away, each log takes as long as a request may.
        begun = list(zip(asked, await asyncio.gather(*map(self._start, asked)), strict=True))
        starts = {pod.uid: start for pod, (start, _) in begun if start is not None}
        again += [_EVENT_SECONDS for pod, (_, final) in begun if pod.restarts and not final]
        notes: dict[str, Note] = {}
        for pod in pods:
            if _waits(pod):
                again.append(_EVENT_SECONDS)
                if _is_stuck(pod.created, now):
                    notes |= await self._note(namespace, kinds.POD, pod.uid, _EVENT_SECONDS, *EVENT_REASONS)
                    if pod.node and pod.uid in notes and notes[pod.uid].reason == UNPLACED:
                        del notes[pod.uid]  # of before it had a node
            elif failures.pull_is_refused(pod):
                # That a pull secret is missing the kubelet says in an Event only.
                notes |= await self._note(namespace, kinds.POD, pod.uid, _SECRET_SECONDS, NO_PULL_SECRET)
        storage_class = None
        if claim is not None and claim.phase == "Pending":
            again.append(_EVENT_SECONDS)
            storage_class = await self._storage_class(claim.storage_class)
            if _is_stuck(claim.meta.created, now):
                notes |= await self._note(namespace, kinds.CLAIM, claim.meta.uid, _EVENT_SECONDS, *EVENT_REASONS)
        stalled = warming is not None and progress is not None and self._stalled(warming, progress)
        config, keys = await self._config(namespace, referred) if referred else ("", {})
        again += [_CONFIG_SECONDS] if referred else []
        served_from, wait = await self._served_from.at(pods, now)
        again += [] if wait is None else [wait]
        return OnDemandFacts(
            progress, stalled, starts, served_from, notes, storage_class, config, keys, min(again, default=None)
        )

    def _stalled(self, pod: Pod, progress: report.Progress) -> bool:
        now = self._clock()
        self._speeds[pod.uid] = stall.step(self._speeds.get(pod.uid), progress, now)
        trim(self._speeds)
        return stall.stalled(self._speeds[pod.uid], now)

    def _asks_for_start(self, pod: Pod) -> bool:
        """Whether it matters how this pod's server was started: again, or without HIPBMM from the first.

        A first start is read while the pod is not ready yet; at rest nothing is read.
        """
        if not pod.live or not pod.container(contract.SERVER).running:
            return False
        return pod.restarts > 0 or not pod.ready or ("start", pod.run) in self._kept

    async def _start(self, pod: Pod) -> tuple[report.Start | None, bool]:
        """How the server was started this time; whether that is final.

        The beginning of its log says it, and is read until it does: not of a log that was rotated, which begins later.
        """

        async def read() -> tuple[report.Start | None, bool]:
            text = await self._kube.log(pod.namespace, pod.name, contract.SERVER, limit=_HEAD_BYTES)
            start = report.parse_start(text)
            return start, start is not None or len(text.encode()) >= _HEAD_BYTES

        known = self._kept.last(("start", pod.run)) or (None, False)
        return known if known[1] else await self._kept.latest(("start", pod.run), _EVENT_SECONDS * 0.9, read) or known

    async def _progress(self, pod: Pod) -> report.Progress | None:
        async def read() -> report.Progress | None:
            text = await self._kube.log(pod.namespace, pod.name, contract.WARM, _LOG_LINES)
            return report.parse_progress(text)

        return await self._kept.latest(("progress", pod.uid), self._progress_seconds * 0.9, read)

    async def _note(self, namespace: str, kind: Kind, uid: str, seconds: float, *reasons: str) -> dict[str, Note]:
        """By its uid what an Event of these reasons says about an object, not older than so many seconds.

        One list for all that is stuck in a namespace: the API server reads every Event of it for each list.
        """

        async def read() -> dict[str, Note]:
            pages = self._kube.pages(kinds.EVENT, namespace, fields=f"involvedObject.kind={kind.kind}")
            return latest([event async for page in pages for event in page.items if event.get("reason") in reasons])

        events = await self._kept.latest((f"{kind.plural} {reasons[0]}", namespace), seconds * 0.9, read) or {}
        return {uid: events[uid]} if uid in events else {}

    async def _storage_class(self, name: str | None) -> bool | None:
        """Whether the class exists, or a default one for None; None when there is none, or it may not be read."""
        if name == "":
            return None

        async def read() -> bool:
            if not name:
                pages = [page async for page in self._kube.pages(kinds.STORAGE_CLASS)]
                found = (metadata.parse(body).annotations for page in pages for body in page.items)
                return any(noted.get(_DEFAULT_CLASS) == "true" for noted in found)
            return await self._kube.find(kinds.STORAGE_CLASS, "", name) is not None

        return await self._kept.latest(("class", name or ""), _EVENT_SECONDS * 0.9, read)

    async def _config(self, namespace: str, referred: Sequence[Named]) -> tuple[str, Keys]:
        """Digest and keys of these objects; "" when a ConfigMap may not be read. What is not there is as good as empty.

        Secrets count where an administrator lets the operator read them.
        """
        at = ("config", f"{namespace}/{referred}")

        async def read() -> tuple[str, Keys]:
            _, known = self._kept.last(at) or ("", {})
            found = await self._found(kinds.CONFIG_MAP, namespace, referred)
            found |= await self._secrets(namespace, referred, counted=any(kind == kinds.SECRET for kind, _ in known))
            contents = [[name, body.get("data"), body.get("binaryData")] for (_, name), body in found.items()]
            keys = {at: tuple(body.get("data") or ()) if body else None for at, body in found.items()}
            return (names.short_hash(canonical(contents), 16) if contents else ""), keys

        return await self._kept.latest(at, _CONFIG_SECONDS * 0.9, read) or ("", {})

    async def _secrets(self, namespace: str, referred: Sequence[Named], *, counted: bool) -> dict[Named, Json]:
        """Those Secrets that may be read.

        Where they have `counted`, a right that is gone for a short while is an error: an API server that has just
        started may not know of it yet, and another digest replaces all pods.
        """
        now = self._clock()
        since, until = self._refused.get(namespace, (now, now))
        if counted or now >= until:
            try:
                found = await self._found(kinds.SECRET, namespace, referred)
            except errors.ForbiddenError:
                self._refused[namespace] = since, now + _REFUSED_SECONDS
            else:
                if found:
                    self._refused.pop(namespace, None)
                return found
        if counted and now - since < _REFUSED_SECONDS:
            raise errors.ForbiddenError(403, "Forbidden", f"Secrets of namespace {namespace} cannot be read now")
        return {}

    async def _found(self, kind: Kind, namespace: str, referred: Sequence[Named]) -> dict[Named, Json]:
        """Those of a kind; {} is not there."""
        return {at: await self._kube.find(kind, namespace, at[1]) or {} for at in referred if at[0] == kind}


def latest(events: Iterable[Json]) -> dict[str, Note]:
    """The newest of these Events about each object, by its uid."""
    found: dict[str, Note] = {}
    for event in sorted(events, key=last_time):
        uid = str(object_at(event, "involvedObject").get("uid", ""))
        found[uid] = Note(str(event["reason"]), printable(str(event.get("message", ""))[:1000]))
    return found


def last_time(event: Json) -> str:
    """When an Event was last observed: one of a series says it there only, as those of the scheduler do."""
    last = object_at(event, "series").get("lastObservedTime") or event.get("lastTimestamp")
    return str(last or event.get("eventTime") or "")


def _waits(pod: Pod) -> bool:
    """No container of it has ever run and none says why, nor does the scheduler: a claim on devices may be missing."""
    if not pod.live or pod.unschedulable is not None or pod.ready:
        return False
    containers = pod.containers.values()
    untouched = all(not (c.running or c.ended or c.last or c.restarts) for c in containers)
    return untouched and all(c.waiting in ("", "PodInitializing", "ContainerCreating") for c in containers)


def _is_stuck(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since >= _STUCK
