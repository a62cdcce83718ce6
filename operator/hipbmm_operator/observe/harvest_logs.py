"""What serving pods have learned, from the logs of their sidecars: read seldom, for no start waits for it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

LOG = logging.getLogger(__name__)

INTERVAL = 540.0
"""Seconds between two reads of one pod: every resource is reconciled every 10 minutes anyway."""
_LINES = shards.MAX_PIECES * 2
_LOG_BYTES = 2 * 2**20


@dataclass(slots=True)
class _Read:
    at: float
    found: list[Shard]


class HarvestLogs:
    """Reads the logs of sidecars, each at most once per INTERVAL; `container` is their name in the pods' spec."""

    def __init__(self, kube: Kube, clock: Callable[[], float], container: str = contract.HARVEST) -> None:
        self._kube = kube
        self._container = container
        self._clock = clock
        self._reads: dict[str, dict[str, _Read]] = {}

    async def newest(self, owner_uid: str, pods: Iterable[Pod], held: frozenset[str]) -> list[Shard]:
        """The newest rows and demand of each serving pod, unless the mirror holds them, or later ones, already."""
        before = self._reads.pop(owner_uid, {})
        reads: dict[str, _Read] = {}
        for pod in pods:
            sidecar = pod.containers.get(contract.HARVEST)
            if not pod.ready or sidecar is None or not sidecar.running:
                continue
            known = before.get(pod.uid)
            if known is None or self._clock() - known.at >= INTERVAL:
                known = _Read(self._clock(), await self._read(pod))
            reads[pod.uid] = known
        if reads:
            self._reads[owner_uid] = reads
        latest = shards.newest(held)
        found = [shard for read in reads.values() for shard in read.found]
        return [shard for shard in found if shards.number(shard.name) > latest.get(shards.origin(shard.name), -1)]

    def forget(self, owner_uid: str) -> None:
        """The resource is gone."""
        self._reads.pop(owner_uid, None)

    async def _read(self, pod: Pod) -> list[Shard]:
        try:
            text = await self._kube.log(pod.namespace, pod.name, self._container, _LINES, _LOG_BYTES)
        except errors.ApiError as error:
            LOG.debug("Could not read what %s has learned: %s", pod.name, error)
            return []
        return await asyncio.to_thread(shards.newest_in_log, text, shards.of_sidecar(pod.uid))
