"""From the logs of pods to the content of a mirror. Reads only when a pod reports rows that the mirror lacks."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hipbmm_operator.api.reasons import Storage
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.mirror import configmap, shards, state
from hipbmm_operator.mirror import content as contents
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.mirror.state import MirrorMap, MirrorState
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.harvest_logs import HarvestLogs
from hipbmm_operator.observe.kept import Kept
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.watch.pruning import prune

LOG = logging.getLogger(__name__)

_LOG_BYTES = 2 * 2**20
_LINES_AFTER = 16
"""Lines that `warm` may write after its shards."""
_AGAIN_SECONDS = 5.0
_LATER_SECONDS = 60.0
"""Between two tries when nothing waits for them any more."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What the log of one pod gave; `failed` says why it could not be read."""

    found: Sequence[Shard] = ()
    problems: Sequence[str] = ()
    failed: str = ""


class MirrorLogs:
    """Finds out what the mirror of a resource should hold."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._kept = Kept(clock)
        self._harvest = HarvestLogs(kube, clock)

    async def at(self, owner: Owner, maps: Iterable[MirrorMap], pods: Iterable[Pod], now: datetime) -> MirrorState:
        """The mirror of a resource; `maps` are the ConfigMaps that are watched."""
        own = [each for each in maps if each.meta.writable_for(owner)]
        mounted = next((each for each in own if each.meta.name == names.mirror(owner.name)), None)
        archives = tuple(each for each in own if each.meta.name == configmap.archive_name(owner.name, each.digest))
        if mounted is None and archives:
            mounted = await self._unlabelled(owner)
        archive = state.current(mounted, archives)
        taken = frozenset[str]().union(*(each.taken for each in (mounted, archive) if each is not None))
        held = taken | (mounted.shards if mounted is not None else frozenset())
        live = [pod for pod in pods if not pod.deleting]
        reporting = [pod for pod in live if state.missing(pod, held)]
        reads = await self._read(reporting)
        learned = await self._harvest.newest(live, held)
        fresh = {shard.name: shard for shard in (*learned, *(shard for read in reads for shard in read.found))}
        reason, message = _problem(reads)
        content = None
        if fresh or state.drifted(owner.name, mounted, archive):
            intact = mounted is not None and mounted.digest == mounted.meant
            before = await self._stored(owner, *((mounted, archive) if intact else (archive, mounted)))
            content = before.joined(fresh.values())
            if not content.fits:
                reason = "MirrorTooLarge"
                message = f"the rows have {content.size} bytes, more than a ConfigMap can hold"
                content, fresh = before, {}
            if content == before and not state.drifted(owner.name, mounted, archive):
                # What was read had been replaced by a shard that is there.
                held, content = held | set(fresh), None
        late = [] if _hopeless(reads, reason) else [pod for pod in reporting if state.missing(pod, held)]
        waiting = frozenset(pod.uid for pod in late if state.in_time(pod, now))
        return MirrorState(
            mounted=mounted,
            archives=archives,
            content=content,
            taken=still_in_logs(taken, live) | frozenset(fresh),
            on_their_way=waiting,
            reason=reason,
            message=message,
            again=_AGAIN_SECONDS if waiting else _LATER_SECONDS if late else None,
        )

    async def _read(self, reporting: list[Pod]) -> list[_Read]:
        """Read each log once, one of those with the same rows; a log that cannot be read now is tried again later."""
        reads: list[_Read] = []
        known: set[frozenset[str]] = set()
        for pod in reporting:
            wanted = frozenset(pod.report.mirror_shards if pod.report else ())
            last: _Read | None = self._kept.last((pod.uid, wanted))
            if last is None and wanted in known:
                continue
            seconds = _AGAIN_SECONDS * 0.9 if last and last.failed else float("inf")
            reads.append(await self._kept.get((pod.uid, wanted), seconds, partial(self._read_one, pod, wanted)))
            if not reads[-1].failed:
                known.add(wanted)
        return reads

    async def _read_one(self, pod: Pod, wanted: frozenset[str]) -> _Read:
        try:
            return _Read(*await rows_in_log(self._kube, pod, contract.WARM, wanted))
        except errors.ApiError as error:
            LOG.warning("Could not read the rows in the log of %s: %s", pod.name, error)
            return _Read(failed=f"the log of {pod.name} cannot be read: {error.message or error}")

    async def _stored(self, owner: Owner, *maps: MirrorMap | None) -> Content:
        """What the mirror holds: from the first of these ConfigMaps that has valid shards."""
        for found in maps:
            if found is None:
                continue
            full = await self._kube.find(kinds.CONFIG_MAP, owner.namespace, found.meta.name) or {}
            content = await asyncio.to_thread(contents.parse, full.get("binaryData"))
            if content.shards:
                return content
        return Content()

    async def _unlabelled(self, owner: Owner) -> MirrorMap | None:
        """The mounted ConfigMap when somebody took its labels away, so that it is not watched any more."""
        body = await self._kube.find(kinds.CONFIG_MAP, owner.namespace, names.mirror(owner.name))
        if body is None:
            return None
        found = parse.mirror_map(prune(kinds.CONFIG_MAP, body).body())
        return found if found.meta.owned_by(owner) else None


async def rows_in_log(kube: Kube, pod: Pod, container: str, wanted: Iterable[str]) -> tuple[list[Shard], list[str]]:
    """The shards of these names in the log of a pod's `warm`, and what is wrong with the others. Raises ApiError."""
    lines = (pod.report.mirror_lines if pod.report else 0) + _LINES_AFTER
    text = await kube.log(pod.namespace, pod.name, container, lines, _LOG_BYTES)
    # In a thread: unpacking and hashing megabytes would keep everything else waiting.
    return await asyncio.to_thread(shards.in_log, text, wanted)


def still_in_logs(taken: frozenset[str], pods: Iterable[Pod]) -> frozenset[str]:
    """Of the shards that were read, those that a log may still have: the note of them stays small."""
    listed = list(pods)
    reported = {name for pod in listed if pod.report for name in pod.report.mirror_shards}
    sidecars = {origin for pod in listed for origin in shards.of_sidecar(pod.uid)}
    newest = shards.newest(taken)
    harvested = {
        name
        for name in taken
        if shards.origin(name) in sidecars and shards.number(name) == newest.get(shards.origin(name))
    }
    return frozenset(taken & reported) | harvested


def _problem(reads: Iterable[_Read]) -> tuple[Storage | None, str]:
    rejected = [problem for read in reads for problem in read.problems]
    if rejected:
        return "MirrorRejected", f"rows in a log are not as they should be: {'; '.join(rejected)[:500]}"
    failed = next((read.failed for read in reads if read.failed), "")
    return ("MirrorUnreadable", failed) if failed else (None, "")


def _hopeless(reads: Iterable[_Read], reason: Storage | None) -> bool:
    """Whether waiting does not help: all that could be read was read, and some of it cannot be used."""
    return reason in ("MirrorRejected", "MirrorTooLarge") and not any(read.failed for read in reads)
