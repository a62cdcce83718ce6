"""Rows in the logs of pods: what `warm` has tuned, read once, and what sidecars have learned, read seldom."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.observe.read_cache import ReadCache
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

LOG = logging.getLogger(__name__)

_HARVEST_SECONDS = 540.0
"""Between two reads of one sidecar's log, for which no start waits: all is reconciled every 10 minutes anyway."""
_HARVEST_LINES = shards.MAX_PIECES * 2
_LOG_BYTES = 2 * 2**20
_LINES_AFTER = 16
"""Lines that `warm` may write after its shards."""
AGAIN_SECONDS = 5.0
"""Before a log of `warm` that could not be read is read again."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is new in logs. `wanted` are the shards of `warm` that were looked for in logs that could be read.

    `rejected` says of shards what is wrong with them, `failed` of logs why they could not be read.
    """

    shards: Sequence[Shard] = ()
    wanted: frozenset[str] = frozenset()
    rejected: Sequence[str] = ()
    failed: Sequence[str] = ()


class LogRows:
    """Reads rows from logs; `warm` and `harvest` are the names of the two containers in the pods' spec."""

    def __init__(
        self, kube: Kube, clock: Callable[[], float], warm: str = contract.WARM, harvest: str = contract.HARVEST
    ) -> None:
        self._kube = kube
        self._kept = ReadCache(clock)
        self._warm, self._harvest = warm, harvest

    async def new(self, pods: Sequence[Pod], held: frozenset[str]) -> Found:
        """What pods have written that is not `held`: nothing is read of one whose rows are."""
        reads = [Found(await self._learned(pods, held))]
        for pod in pods:
            wanted = frozenset(pod.report.mirror_shards if pod.report else ())
            at = (pod.uid, wanted)
            if wanted <= held:
                self._kept.drop(at)  # up to a megabyte of each pod
                continue
            last: Found | None = self._kept.last(at)
            if last is None and any(wanted == read.wanted for read in reads):
                continue  # another pod has the same rows
            seconds = AGAIN_SECONDS * 0.9 if last and last.failed else float("inf")
            reads.append(await self._kept.get(at, seconds, partial(self._tuned, pod, wanted)))
        return Found(
            shards=[shard for read in reads for shard in read.shards],
            wanted=frozenset[str]().union(*(read.wanted for read in reads)),
            rejected=[problem for read in reads for problem in read.rejected],
            failed=[problem for read in reads for problem in read.failed],
        )

    async def _tuned(self, pod: Pod, wanted: frozenset[str]) -> Found:
        lines = (pod.report.mirror_lines if pod.report else 0) + _LINES_AFTER
        try:
            text = await self._kube.log(pod.namespace, pod.name, self._warm, lines, _LOG_BYTES)
        except errors.ApiError as error:
            LOG.warning("Could not read the rows in the log of %s: %s", pod.name, error)
            return Found(failed=[f"the log of {pod.name} cannot be read: {error.message or error}"])
        # In a thread: unpacking and hashing megabytes would keep everything else waiting.
        found, rejected = await asyncio.to_thread(shards.in_log, text, wanted)
        for problem in rejected:
            LOG.warning("Rows in the log of %s are damaged: %s", pod.name, problem)
        return Found(found, wanted, rejected)

    async def _learned(self, pods: Sequence[Pod], held: frozenset[str]) -> list[Shard]:
        """The newest rows and demand of each serving pod, unless these, or later ones, are held."""
        found: list[Shard] = []
        for pod in pods:
            if pod.ready and pod.container(contract.HARVEST).running:
                at, ask = ("what was learned", pod.uid), partial(self._newest, pod)
                found += await self._kept.latest(at, _HARVEST_SECONDS, ask) or []
        latest = shards.newest(held)
        return [shard for shard in found if shards.number(shard.name) > latest.get(shards.origin(shard.name), -1)]

    async def _newest(self, pod: Pod) -> list[Shard]:
        text = await self._kube.log(pod.namespace, pod.name, self._harvest, _HARVEST_LINES, _LOG_BYTES)
        return await asyncio.to_thread(shards.newest_in_log, text, shards.of_sidecar(pod.uid))
