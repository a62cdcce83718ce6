"""Where the servers find their rows, as the logs of their sidecars say: read soon after a start, and then no more."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hipbmm_operator.kube.client import Kube
from hipbmm_operator.observe.read_cache import ReadCache
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.pods.report import FILE, MEMORY, UNKNOWN, ServedFrom, parse_served_from

SILENT_SECONDS = 180.0
"""After readiness; vLLM runs each GEMM of the model before it is ready, and the sidecar looks every 20 s."""
_SETTLED_SECONDS = 60.0
"""After readiness no process changes its report: what the sidecar has written since then is of this start."""
_AGAIN_SECONDS = 30.0
_SELDOM_SECONDS = 540.0
_LINES, _LOG_BYTES = 128, 2**20
_MAX_SAID = 128
"""Characters of the sidecar's reason: with `_WHY` behind it they fit into the status."""
_WHY = "vLLM has not loaded the plugin in all of them, or runs no FP8 GEMM of AITER"


@dataclass(frozen=True, slots=True)
class _Read:
    served: ServedFrom | None = None
    settled: bool = False


class ServedFromReads:
    """Reads the log of each pod whose `warm` said Memory; `container` is the sidecar's name in the pods' spec."""

    def __init__(self, kube: Kube, clock: Callable[[], float], container: str = contract.HARVEST) -> None:
        self._kube = kube
        self._container = container
        self._kept = ReadCache(clock, forgotten=float("inf"))

    async def at(self, pods: Iterable[Pod], now: datetime) -> tuple[Mapping[str, ServedFrom], float | None]:
        """By uid, what the servers of pods run: Memory or File. And the seconds after which to read again.

        A pod that is not among them has said nothing yet, or cannot be asked.
        """
        asked = [
            (pod, (now - pod.ready_since).total_seconds())
            for pod in pods
            if pod.ready_since is not None and _reports(pod)
        ]
        reads = await asyncio.gather(*(self._read(pod, age) for pod, age in asked))
        verdicts = {pod.uid: _verdict(read.served, age) for (pod, age), read in zip(asked, reads, strict=True)}
        wait = any(not read.settled and age < SILENT_SECONDS for (_, age), read in zip(asked, reads, strict=True))
        return {uid: served for uid, served in verdicts.items() if served}, _AGAIN_SECONDS if wait else None

    async def _read(self, pod: Pod, age: float) -> _Read:
        at = ("served from", pod.run)
        known: _Read | None = self._kept.last(at)
        if known is not None and known.settled:
            return known
        seconds = _AGAIN_SECONDS * 0.9 if age < SILENT_SECONDS + _AGAIN_SECONDS else _SELDOM_SECONDS
        return await self._kept.latest(at, seconds, partial(self._ask, pod, age)) or _Read()

    async def _ask(self, pod: Pod, age: float) -> _Read:
        text = await self._kube.log(pod.namespace, pod.name, self._container, _LINES, _LOG_BYTES)
        served = parse_served_from(text)
        return _Read(served, served is not None and served.mode != UNKNOWN and age >= _SETTLED_SECONDS)


def _reports(pod: Pod) -> bool:
    """Whether its processes are to serve from memory, and a sidecar runs that writes what they report into its log."""
    asked = pod.report is not None and pod.report.served.mode == MEMORY
    return asked and pod.live and pod.ready and pod.container(contract.HARVEST).running


def _verdict(served: ServedFrom | None, age: float) -> ServedFrom | None:
    """What the processes report; after a while a missing report counts as File."""
    if served is None or served.mode != UNKNOWN:
        return served
    return ServedFrom(FILE, f"{served.reason[:_MAX_SAID]}: {_WHY}") if age >= SILENT_SECONDS else None
