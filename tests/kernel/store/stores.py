"""Shards of a test on a disk, and what a reader gets of them."""

import os
from pathlib import Path

from tests.kernel.faults import FakeClock

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.volume import Volume

DAY = 24 * 3600


def put(root: Path, stack: Stack, *what: Row | Veto, origin: str = "pod-a.warm", old: bool = False) -> Path:
    head = Shard(stack.key, origin, 1)
    vetoes = tuple(one for one in what if isinstance(one, Veto))
    plain = tuple(one for one in what if isinstance(one, Row))
    made = head._replace(kind="vetoes", vetoes=vetoes) if vetoes else head._replace(rows=plain)
    data = shard.encode(made)
    place = root / "v1" / stack.key / "shards"
    place.mkdir(parents=True, exist_ok=True)
    (place.parent / "stack.json").write_bytes(stack.canonical() + b"\n")
    path = place / shard.name_of(data)
    path.write_bytes(data)
    if old:
        age(path)
    return path


def age(*paths: Path) -> None:
    """Make files two days older."""
    for path in paths:
        os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)


def read(root: Path, stack: Stack) -> Table:
    reader = store.Reader(Volume(), FakeClock(), stack.key, 1.0)
    merged = table.merge(reader.shards(str(root)))
    assert reader.reading.refused_count == 0
    return merged


def names(root: Path) -> set[str]:
    return {path.name for path in root.glob("v1/*/shards/*")}
