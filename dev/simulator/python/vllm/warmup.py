"""vLLM's start-up order (v1/worker/gpu_worker.py).

Profile run, then graphs from large to small, then the sampler's dummy run.
"""

import time

import torch
from aiter_simulator import counters, faults, table

from vllm.arguments import ServeArguments
from vllm.layers import Rank
from vllm.log import LOGGER


def warm_up(rank: Rank, arguments: ServeArguments, sizes: list[int]) -> None:
    """Touch hipb_mm with the token counts of a real start. Ends the process where AITER does."""
    started = time.monotonic()
    faults.strike(on="warm-up", table=table.state())
    rank.step(arguments.max_num_batched_tokens)
    LOGGER.info("Memory profiling takes %.2f seconds", time.monotonic() - started)
    if sizes:
        _capture(rank, sizes)
    rank.step(min(arguments.max_num_seqs, arguments.max_num_batched_tokens))
    found, missed, chosen = counters.COUNTERS.hits, counters.COUNTERS.misses, counters.COUNTERS.chosen
    LOGGER.info("hipb_mm: %d lookups found a row, %d tuned, %d calls named an index", found, missed, chosen)
    seconds = time.monotonic() - started
    LOGGER.info("init engine (profile, create kv cache, warmup model) took %.2f s", seconds)


def _capture(rank: Rank, sizes: list[int]) -> None:
    started = time.monotonic()
    for size in sorted(sizes, reverse=True):
        rank.step(size)  # one eager pass first: this is where a missing row is tuned
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            rank.step(size)
    LOGGER.info("Graph capturing finished in %.0f secs, took 0.00 GiB", time.monotonic() - started)
