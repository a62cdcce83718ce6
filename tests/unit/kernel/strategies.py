"""What property tests draw: rows, vetoes and shards over a few keys, so that the same key comes often.

Whole shards come from a fixed pool: drawing each field of each row of each shard costs seconds per thousand examples
and finds nothing more, since ties and conflicts need equal values anyway.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard

KEY = "9f2c0a1b2c3d4e5f"
POOL = 400

_KEYS = [
    gemm.key_of(Problem(m, n, k), fp8) for m in (1, 512) for n, k in ((16, 32), (10240, 5120)) for fp8 in gemm.FP8_TYPES
]
_INDICES = (1, 2, 4711, gemm.MAX_INDEX)
_NAMES = ("-", "Cijk_a", "Cijk_ab", "Cijk_b_WG16_4_1", "x!#&~", "n" * 600)
_TIMES = (None, gemm.MIN_US, 6.25, 12.5, 0.1 + 0.2, 1e5 / 3, gemm.MAX_US)
_REASONS = ("wrong result", "crashed", "hung; twice")


def _drawn_rows(rng: random.Random) -> list[Row]:
    found = []
    for _ in range(POOL):
        tuned, default = (rng.choice((*_TIMES, rng.uniform(gemm.MIN_US, 1000.0))) for _ in range(2))
        verified = rng.random() < 0.5
        found.append(Row(rng.choice(_KEYS), rng.choice(_INDICES), rng.choice(_NAMES), tuned, default, verified))
    return found


_ROWS = _drawn_rows(random.Random(2))
_NODES = ("-", "0123456789ab", "ba9876543210", "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
_VETOES = [
    Veto(key, index, reason, node)
    for key in _KEYS
    for index in (0, *_INDICES)
    for reason in _REASONS
    for node in _NODES[:3]
]
rows = st.sampled_from(_ROWS)
PLAIN_ROWS = [row._replace(tuned_us=None, default_us=None, verified=False) for row in _ROWS]
plain_rows = st.sampled_from(PLAIN_ROWS)
vetoes = st.sampled_from(_VETOES)
origins = st.sampled_from(("0f0e6d4c-1b1a-4f6e-9f43-3a3f8a3d7c11.0", "pod.7"))


def _pool(rng: random.Random) -> list[shard.Shard]:
    found = []
    for seq in range(POOL):
        token = rng.choice((shard.ANY_TOKEN, "0" * 12))
        size = rng.randrange(5)
        if rng.random() < 0.75:
            chosen = tuple(_row(rng) for _ in range(size))
            found.append(shard.Shard(KEY, "pod.0", seq, shard.ROWS, token, rows=chosen))
        else:
            reasons = ("wrong result", "crashed", "hung")
            vetoed = tuple(
                Veto(rng.choice(_KEYS[:3]), rng.randrange(4), rng.choice(reasons), rng.choice(_NODES))
                for _ in range(size)
            )
            found.append(shard.Shard(KEY, "pod.0", seq, shard.VETOES, token, vetoes=vetoed))
    return found


def _row(rng: random.Random) -> Row:
    times = (None, 6.25, 12.5)
    name = rng.choice(("-", "Cijk_a", "Cijk_b"))
    return Row(
        rng.choice(_KEYS[:3]), rng.randrange(1, 4), name, rng.choice(times), rng.choice(times), rng.random() < 0.5
    )


POOL_SHARDS = _pool(random.Random(1))
shards = st.sampled_from(POOL_SHARDS)
drawn_shards = st.one_of(
    st.builds(
        lambda origin, found: shard.Shard(KEY, origin, 7, rows=tuple(found)), origins, st.lists(rows, max_size=4)
    ),
    st.builds(
        lambda origin, found: shard.Shard(KEY, origin, 7, shard.VETOES, "0" * 12, vetoes=tuple(found)),
        origins,
        st.lists(vetoes, max_size=4),
    ),
)
