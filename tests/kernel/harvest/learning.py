"""Rows that a server has learned, and where they come to."""

from tests.kernel.faults import FakeClock
from tests.kernel.pods import Pod, row, rows

from hipbmm_kernel.harvest.harvester import Harvester
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

SERVED = tuple(each._replace(kernel_name="-") for each in rows(10))
LEARNED = tuple(row(m=1 + at, n=4096, index=900 + at) for at in range(6))


def line(learned: Row) -> str:
    return f"{learned.key},{learned.algo_index},{learned.kernel_name}\n"


def append(pod: Pod, text: str) -> None:
    with pod.served_file.open("a") as file:
        file.write(text)


def harvester(pod: Pod, volume: Volume | None = None, lines: list[str] | None = None) -> Harvester:
    logged: list[str] = [] if lines is None else lines
    return Harvester(pod.settings(), volume or Volume(), Clock(), logged.append)


def stored(pod: Pod, stack: Stack) -> set[tuple[str, int]]:
    reader = store.Reader(Volume(), FakeClock(), stack.key, 1.0)
    merged = table.merge(reader.shards(str(pod.store)))
    assert reader.reading.refused_count == 0
    return {(row.key, row.algo_index) for row in merged.winners()}


def pairs(*learned: Row) -> set[tuple[str, int]]:
    return {(each.key, each.algo_index) for each in learned}


def names(pod: Pod) -> list[str]:
    return sorted(path.name for path in pod.store.glob("v1/*/shards/*"))
