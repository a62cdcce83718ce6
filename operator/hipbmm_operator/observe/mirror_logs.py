"""From the logs of pods to the content of a mirror. Reads only when a pod reports rows that the mirror lacks."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from hipbmm_operator.api.reasons import Storage
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.mirror import content as contents
from hipbmm_operator.mirror import shards, state, steps
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.state import MirrorMap, MirrorState
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.log_rows import AGAIN_SECONDS, Found, LogRows
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.watch.pruning import prune

_LATER_SECONDS = 60.0
"""Between two tries when nothing waits for them any more."""


class MirrorLogs:
    """Finds out what the mirror of a resource should hold."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._rows = LogRows(kube, clock)

    async def at(self, owner: Metadata, maps: Iterable[MirrorMap], pods: Iterable[Pod], now: datetime) -> MirrorState:
        """The mirror of a resource; `maps` are the ConfigMaps that are watched."""
        own = [each for each in maps if each.meta.writable_for(owner)]
        mounted = next((each for each in own if each.meta.name == names.mirror(owner.name)), None)
        archives = tuple(each for each in own if each.meta.name == steps.archive_name(owner.name, each.digest))
        if mounted is None and archives:
            mounted = await self._unlabelled(owner)
        archive = state.current(mounted, archives)
        taken = frozenset[str]().union(*(each.taken for each in (mounted, archive) if each is not None))
        held = taken | (mounted.shards if mounted is not None else frozenset())
        live = [pod for pod in pods if not pod.deleting]
        found = await self._rows.new(live, held)
        fresh = {shard.name: shard for shard in found.shards}
        reason, message = _problem(found)
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
        # Waiting does not help when all could be read, and some of it cannot be used.
        hopeless = reason in ("MirrorRejected", "MirrorTooLarge") and not found.failed
        late = [] if hopeless else [pod for pod in live if state.missing(pod, held)]
        waiting = frozenset(pod.uid for pod in late if state.in_time(pod, now))
        return MirrorState(
            mounted=mounted,
            archives=archives,
            content=content,
            taken=still_in_logs(taken, live) | frozenset(fresh),
            on_their_way=waiting,
            reason=reason,
            message=message,
            again=AGAIN_SECONDS if waiting else _LATER_SECONDS if late else None,
        )

    async def _stored(self, owner: Metadata, *maps: MirrorMap | None) -> Content:
        """What the mirror holds: from the first of these ConfigMaps that has valid shards."""
        for found in maps:
            if found is None:
                continue
            full = await self._kube.find(kinds.CONFIG_MAP, owner.namespace, found.meta.name) or {}
            content = await asyncio.to_thread(contents.parse, full.get("binaryData"))
            if content.shards:
                return content
        return Content()

    async def _unlabelled(self, owner: Metadata) -> MirrorMap | None:
        """The mounted ConfigMap when somebody took its labels away, so that it is not watched any more."""
        body = await self._kube.find(kinds.CONFIG_MAP, owner.namespace, names.mirror(owner.name))
        if body is None:
            return None
        found = parse.mirror_map(prune(kinds.CONFIG_MAP, body).body())
        return found if found.meta.owned_by(owner) else None


def still_in_logs(taken: frozenset[str], pods: Iterable[Pod]) -> frozenset[str]:
    """Of the shards that were read, those that a log may still have: the note of them stays small."""
    listed = list(pods)
    reported = {name for pod in listed if pod.report for name in pod.report.mirror_shards}
    sidecars = {origin for pod in listed for origin in shards.of_sidecar(pod.uid)}
    # Names begin with these two. What somebody else wrote into the note may be no name.
    newest = {f"{origin}.{number}" for origin, number in shards.newest(taken).items() if origin in sidecars}
    return frozenset(name for name in taken if name in reported or name.rsplit(".", 2)[0] in newest)


def _problem(found: Found) -> tuple[Storage | None, str]:
    if found.rejected:
        return "MirrorRejected", f"rows in a log are damaged: {'; '.join(found.rejected)[:500]}"
    return ("MirrorUnreadable", found.failed[0]) if found.failed else (None, "")
