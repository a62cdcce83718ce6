"""What serving processes say of their table, from the logs of sidecars: soon after a start, and then no more."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hipbmm_operator.kube.client import Kube
from hipbmm_operator.observe.read_cache import ReadCache
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.pods.report import FILE, MEMORY, UNKNOWN, Spoken, parse_spoken

SILENT_SECONDS = 180.0
"""After readiness; vLLM runs each GEMM of the model before it is ready, and the sidecar looks every 20 s."""
_SETTLED_SECONDS = 60.0
"""After readiness no process changes its word: what the sidecar has said since then is of this start."""
_AGAIN_SECONDS = 30.0
_SELDOM_SECONDS = 540.0
_LINES, _LOG_BYTES = 128, 2**20
_MAX_SAID = 128
"""Characters of what the sidecar says: with the words behind it they fit into the status."""
_WHY = "vLLM has not loaded the plugin in all of them, or runs no FP8 GEMM of AITER"


@dataclass(frozen=True, slots=True)
class _Read:
    spoken: Spoken | None = None
    settled: bool = False


class DispatchWords:
    """Reads the log of each pod whose `warm` said Memory; `container` is the sidecar's name in the pods' spec."""

    def __init__(self, kube: Kube, clock: Callable[[], float], container: str = contract.HARVEST) -> None:
        self._kube = kube
        self._container = container
        self._kept = ReadCache(clock, forgotten=float("inf"))

    async def at(self, pods: Iterable[Pod], now: datetime) -> tuple[Mapping[str, Spoken], float | None]:
        """By uid, what the servers of pods run: Memory or File. And the seconds after which to read again.

        A pod that is not among them has said nothing yet, or cannot be asked.
        """
        asked = [
            (pod, (now - pod.ready_since).total_seconds())
            for pod in pods
            if pod.ready_since is not None and _can_speak(pod)
        ]
        reads = await asyncio.gather(*(self._read(pod, age) for pod, age in asked))
        verdicts = {pod.uid: _verdict(read.spoken, age) for (pod, age), read in zip(asked, reads, strict=True)}
        wait = any(not read.settled and age < SILENT_SECONDS for (_, age), read in zip(asked, reads, strict=True))
        return {uid: spoken for uid, spoken in verdicts.items() if spoken}, _AGAIN_SECONDS if wait else None

    async def _read(self, pod: Pod, age: float) -> _Read:
        at = ("the words", pod.run)
        known: _Read | None = self._kept.last(at)
        if known is not None and known.settled:
            return known
        seconds = _AGAIN_SECONDS * 0.9 if age < SILENT_SECONDS + _AGAIN_SECONDS else _SELDOM_SECONDS
        return await self._kept.latest(at, seconds, partial(self._ask, pod, age)) or _Read()

    async def _ask(self, pod: Pod, age: float) -> _Read:
        text = await self._kube.log(pod.namespace, pod.name, self._container, _LINES, _LOG_BYTES)
        spoken = parse_spoken(text)
        return _Read(spoken, spoken is not None and spoken.mode != UNKNOWN and age >= _SETTLED_SECONDS)


def _can_speak(pod: Pod) -> bool:
    """Whether its processes were asked to serve from memory, and there is a sidecar that would pass on their word."""
    asked = pod.report is not None and pod.report.dispatch == MEMORY
    return asked and pod.live and pod.ready and pod.container(contract.HARVEST).running


def _verdict(spoken: Spoken | None, age: float) -> Spoken | None:
    """The word of the processes; after a while their silence is one, too."""
    if spoken is None or spoken.mode != UNKNOWN:
        return spoken
    return Spoken(FILE, f"{spoken.reason[:_MAX_SAID]}: {_WHY}") if age >= SILENT_SECONDS else None
