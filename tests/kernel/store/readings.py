"""A store with the rows of a test, read with a clock that only counts."""

from pathlib import Path

from tests.kernel.faults import FakeClock
from tests.kernel.pods import rows

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.volume import Volume

SOME = rows(20)


def put(root: Path, key: str, what: tuple[object, ...], origin: str = "pod-a.warm", digest: str = "-") -> Path:
    data = shard.encode(Shard(key, origin, 1, token=digest, rows=what))  # type: ignore[arg-type] # rows, by every caller
    place = root / "v1" / key / "shards"
    place.mkdir(parents=True, exist_ok=True)
    path = place / shard.name_of(data)
    path.write_bytes(data)
    return path


def read(
    root: Path, stack: Stack, volume: Volume | None = None, mirrors: tuple[str, ...] = (), retune: str = ""
) -> tuple[Table, store.Reading, FakeClock]:
    clock = FakeClock()
    reader = store.Reader(volume or Volume(), clock, stack.key, 90.0)
    return table.merge(reader.shards(str(root), mirrors), retune), reader.reading, clock


def expected(*parts: tuple[object, ...]) -> Table:
    return table.merge(Shard("0" * 16, "x.y", 1, rows=part) for part in parts)  # type: ignore[arg-type] # same
