"""What serving pods have learned, from the logs of their sidecars: looked at seldom, for it is no hurry."""

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
"""Seconds between two looks at one pod: every resource is reconciled every 10 minutes anyway."""
_LINES = shards.MAX_PIECES * 2
_LOG_BYTES = 2 * 2**20


@dataclass(slots=True)
class _Look:
    at: float
    found: Shard | None


class HarvestLogs:
    """Reads the logs of sidecars, each at most once per INTERVAL."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._looks: dict[str, dict[str, _Look]] = {}

    async def news(self, owner_uid: str, pods: Iterable[Pod], held: frozenset[str]) -> list[Shard]:
        """The newest shard of each serving pod, unless the mirror holds it, or a later one of that pod, already."""
        before = self._looks.pop(owner_uid, {})
        looks: dict[str, _Look] = {}
        for pod in pods:
            sidecar = pod.containers.get(contract.HARVEST)
            if not pod.ready or sidecar is None or not sidecar.running:
                continue
            look = before.get(pod.uid)
            if look is None or self._clock() - look.at >= INTERVAL:
                look = _Look(self._clock(), await self._read(pod))
            looks[pod.uid] = look
        if looks:
            self._looks[owner_uid] = looks
        newest = shards.newest(held)
        found = [look.found for look in looks.values() if look.found is not None]
        return [shard for shard in found if shards.number(shard.name) > newest.get(shards.origin(shard.name), -1)]

    def forget(self, owner_uid: str) -> None:
        """The resource is gone."""
        self._looks.pop(owner_uid, None)

    async def _read(self, pod: Pod) -> Shard | None:
        try:
            text = await self._kube.log(pod.namespace, pod.name, contract.HARVEST, _LINES, _LOG_BYTES)
        except errors.ApiError as error:
            LOG.debug("Could not read what %s has learned: %s", pod.name, error)
            return None
        return await asyncio.to_thread(shards.last_in_log, text, f"{pod.uid}.mirror")
