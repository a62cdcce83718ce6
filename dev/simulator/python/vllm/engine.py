"""Serving.

Which token counts a request makes the model run with, and a text that is always the same for the same prompt.
"""

import threading
from collections.abc import Iterator

from aiter_simulator import clock, cost, faults, gpu, process, runtime, stable, table
from aiter_simulator.problem import Gemm

from vllm.capture import Graphs
from vllm.layers import Rank
from vllm.metrics import Metrics

_TEXT = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all their there been has when who will more no if out so said what up its about into than them"
)
_WORDS = _TEXT.split()


class Engine:
    """One engine, one step at a time, as vLLM's."""

    def __init__(self, rank: Rank, graphs: Graphs, metrics: Metrics) -> None:
        self._rank = rank
        self._graphs = graphs
        self._metrics = metrics
        self._lock = threading.Lock()
        self._served = 0

    def generate(self, prompt: str, max_tokens: int) -> Iterator[str]:
        """The words of a completion, one per decode step after a prefill step."""
        with self._lock:
            self._served += 1
            faults.strike(on="serving", table=table.state(), index=self._served)
            if faults.find("crash", on="serving", table=table.state(), index=self._served):
                process.engine_died("EngineCore encountered a fatal error, ordered by HIPBMM_SIM_FAULTS")
        self._step(count_tokens(prompt), prefill=True)
        for position in range(max_tokens):
            if position:
                self._step(1, prefill=False)
            yield _WORDS[stable.integer("word", prompt, position) % len(_WORDS)]

    def _step(self, tokens: int, *, prefill: bool) -> None:
        """One forward pass.

        A graph replay when a captured size fits, which touches no host code, else an eager pass.
        """
        with self._lock:
            self._metrics.step(tokens)
            size = self._graphs.replayed(tokens, prefill=prefill)
            if size is None:
                self._rank.step(tokens)
            else:
                self._replay(size)

    def _replay(self, size: int) -> None:
        """Let the time of the captured kernels pass."""
        if not gpu.visible():
            return
        device = runtime.current_gpu()
        for item in self._rank.loaded:
            gemm = Gemm(size, item.linear.N, item.linear.K)
            clock.DEVICE.advance(cost.ideal_us(gemm, device) * item.linear.count)


def count_tokens(prompt: str) -> int:
    """Words of a prompt, at least one: the stand-in's tokenizer."""
    return max(1, len(prompt.split()))
