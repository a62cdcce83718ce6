"""Decoding and merging a store: processor time per row, and that it does not grow with the store."""

from __future__ import annotations

import gc
import random
import time
from typing import TYPE_CHECKING

from hipbmm_kernel.__main__ import YOUNG_CONTAINERS
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row
from hipbmm_kernel.store import shard, shard_lines, table

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "9f2c0a1b2c3d4e5f"
SHARDS = 1000
ROWS = 200
DUPLICATES = 0.4
OTHER_INDEX = 0.2
VERIFIED = 0.9
NAME = "Cijk_Alik_Bljk_F8NBS_BH_Bias_HA_S_SABV_SAV_UserArgs_MT" + "x" * 500
ROUNDS = 3


def store(rng: random.Random) -> list[bytes]:
    """Texts of shards of which 40 % of the rows repeat a key of an earlier one, with kernel names of real length."""
    texts, distinct = [], 0
    for seq in range(SHARDS):
        rows = []
        for _ in range(ROWS):
            repeats = distinct > 0 and rng.random() < DUPLICATES
            number = rng.randrange(distinct) if repeats else distinct
            distinct += not repeats
            problem = Problem(1 + number % gemm.MAX_M, 16 * (1 + number // gemm.MAX_M), 5120)
            index = 1 + number % 3000 + (rng.random() < OTHER_INDEX)
            times = (round(rng.uniform(6, 200), 3), round(rng.uniform(6, 200), 3))
            rows.append(Row(gemm.key_of(problem), index, f"{NAME}{index}", *times, verified=rng.random() < VERIFIED))
        texts.append(shard.encode(shard.Shard(KEY, f"pod-{seq}.0", seq, rows=tuple(rows))))
    return texts


def microseconds_per_row(texts: Sequence[bytes]) -> float:
    """Least over a few rounds of the processor time of decoding and merging, per row read."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        known = shard_lines.Known()
        merged = table.merge(shard.decode(text, known) for text in texts)
        times.append(time.process_time() - started)
        if not merged.rows:
            raise RuntimeError("the merge is empty")
    return min(times) / (len(texts) * ROWS) * 1e6


def measure() -> dict[str, float]:
    gc.set_threshold(YOUNG_CONTAINERS, *gc.get_threshold()[1:])  # as the program itself does
    texts = store(random.Random(1))
    whole = microseconds_per_row(texts)
    eighth = microseconds_per_row(texts[: SHARDS // 8])
    return {"merge_us_per_row": whole, "merge_growth_of_8x_rows": whole / eighth}
