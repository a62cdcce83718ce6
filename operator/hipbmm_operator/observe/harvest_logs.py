"""What serving pods have learned, from the logs of their sidecars: read seldom, for no start waits for it."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from hipbmm_operator.kube.client import Kube
from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.observe.kept import Kept
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

INTERVAL = 540.0
"""Seconds between two reads of one pod: every resource is reconciled every 10 minutes anyway."""
_LINES = shards.MAX_PIECES * 2
_LOG_BYTES = 2 * 2**20


class HarvestLogs:
    """Reads the logs of sidecars, each at most once per INTERVAL; `container` is their name in the pods' spec."""

    def __init__(self, kube: Kube, clock: Callable[[], float], container: str = contract.HARVEST) -> None:
        self._kube = kube
        self._container = container
        self._kept = Kept(clock)

    async def newest(self, pods: Iterable[Pod], held: frozenset[str]) -> list[Shard]:
        """The newest rows and demand of each serving pod, unless the mirror holds them, or later ones, already."""
        found: list[Shard] = []
        for pod in pods:
            if pod.ready and pod.container(contract.HARVEST).running:
                found += (
                    await self._kept.latest(("what was learned", pod.uid), INTERVAL, partial(self._read, pod)) or []
                )
        latest = shards.newest(held)
        return [shard for shard in found if shards.number(shard.name) > latest.get(shards.origin(shard.name), -1)]

    async def _read(self, pod: Pod) -> list[Shard]:
        text = await self._kube.log(pod.namespace, pod.name, self._container, _LINES, _LOG_BYTES)
        return await asyncio.to_thread(shards.newest_in_log, text, shards.of_sidecar(pod.uid))
