"""Large and hostile stores: processor time of compactions, and what a start pays beside each kind of hostile writer.

Every measured step is a process of its own, so that its processor time and its peak memory are its own, too.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.kernel_warm import CONFIG
from hipbmm_kernel.planner import plan
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard, shard_lines
from hipbmm_kernel.store.shard import Shard

ROOT = Path(__file__).resolve().parents[1]
KEY = "9f2c0a1b2c3d4e5f"
NAME = "Cijk_Alik_Bljk_F8NBS_BH_Bias_HA_S_SABV_SAV_UserArgs_MT" + "x" * 500
COMPACT = """
import sys
from hipbmm_kernel.store.compactor import compact_key
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume
done = compact_key(Volume(), Clock(), sys.argv[1], sys.argv[2], 600.0, grace=0)
assert not done.errors, done.errors
"""
RESTORE = """
import sys
from hipbmm_kernel.store import table
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume
reader = Reader(Volume(), Clock(), sys.argv[2], 90.0)
merged = table.merge(reader.shards(sys.argv[1]), node="")
sys.stdout.write("\\n".join(row.key for row in merged.winners()))
"""
SPENT = """
import gc, resource
gc.set_threshold(50_000, 10, 10)
exec(sys.argv.pop(1))
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime, int(peak) / 1024, file=sys.stderr)
"""


def measure() -> dict[str, float]:
    figures = {}
    for name, count, rows in (("10k_shards_of_200", 10_000, 200), ("50k_shards_of_1", 50_000, 1)):
        with tempfile.TemporaryDirectory() as directory:
            _many(Path(directory), count, rows)
            spent = [_spent(COMPACT, directory)[0] for _ in range(2)]
            left = len(list(Path(directory).glob("v1/*/shards/*")))
        figures[f"compact_{name}_cpu_s"] = max(spent)
        figures[f"compact_{name}_files_left"] = left
    restores = [_restored(hostile) for hostile in HOSTILE]
    figures["hostile_restore_cpu_s"] = max(seconds for seconds, _, _ in restores)
    figures["hostile_restore_peak_mib"] = max(peak for _, peak, _ in restores)
    figures["hostile_restore_rows_hidden"] = max(hidden for _, _, hidden in restores)
    return figures


def _restored(hostile: Callable[[], Iterator[Shard | tuple[str, int]]]) -> tuple[float, float, int]:
    """Processor seconds and peak MiB of reading a pod's rows beside a hostile writer's files, and rows not found."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "v1" / KEY / "shards"
        place.mkdir(parents=True)
        for honest in _honest():
            _write(place, honest)
        for one in hostile():
            if isinstance(one, Shard):
                _write(place, one)
            else:
                with (place / one[0]).open("wb") as file:
                    file.truncate(one[1])
        seconds, peak, found = _spent(RESTORE, directory)
    sys.stdout.write(f"  {hostile.__name__}: {seconds:.2f} s, {peak:.0f} MiB\n")
    return seconds, peak, len({row.key for one in _honest() for row in one.rows} - set(found.split()))


def _honest() -> Iterator[Shard]:
    """The rows of a plan as a pod publishes them."""
    made = plan.build(json.dumps(CONFIG).encode(), plan.Options())
    keys = [gemm.key_of(problem) for problem in made.problems]
    for first in range(0, len(keys), 16):
        rows = tuple(Row(key, 77, NAME, 9.0, 10.0, verified=True) for key in keys[first : first + 16])
        yield Shard(KEY, "honest.warm", first, rows=rows)


def _empty_files() -> Iterator[tuple[str, int]]:
    for at in range(100_000):
        yield f"{at:06x}.warm.1.0123456789ab.csv", 0


def _more_files_than_are_looked_at() -> Iterator[tuple[str, int]]:
    for at in range(250_000):
        yield f"0.warm.{at}.0123456789ab.csv", 0


def _small_files() -> Iterator[tuple[str, int]]:
    for at in range(50_000):
        yield f"0.warm.{at}.0123456789ab.csv", 300


def _sparse_files() -> Iterator[tuple[str, int]]:
    for at in range(16):
        yield f"{at:06x}.warm.1.0123456789ab.csv", shard.MAX_BYTES


def _many_keys() -> Iterator[Shard]:
    for at in range(50):
        rows = (Row(gemm.key_of(Problem(1 + i % 512, 16 * (1 + i // 512 + 200 * at), 64)), 5) for i in range(60_000))
        yield Shard(KEY, f"h{at}.warm", at, rows=tuple(rows))


def _many_indices() -> Iterator[Shard]:
    key = gemm.key_of(Problem(1, 5120, 5120))
    for at in range(20):
        rows = (Row(key, 1 + at * 50_000 + i, "-", 5.0 + i % 977, None, verified=True) for i in range(50_000))
        yield Shard(KEY, f"h{at}.warm", at, rows=tuple(rows))


def _many_compactions() -> Iterator[Shard]:
    for at in range(8):
        rows = tuple(Row(gemm.key_of(Problem(1 + i % 512, 16 * (1 + i // 512), 64)), 5) for i in range(50_000))
        yield Shard(KEY, "compact.compact", at, inputs=(f"honest.warm.{at}.0123456789ab.csv",), rows=rows)


def _sparse_compactions() -> Iterator[tuple[str, int]]:
    for at in range(16):
        yield f"{at:06x}.compact.1.0123456789ab.csv", shard.MAX_BYTES // 10


def _compactions_of_what_is_honest() -> Iterator[Shard]:
    names = tuple(shard.name_of(shard.encode(one)) for one in _honest())
    yield Shard(KEY, "compact.compact", 1, inputs=names)
    for at in range(9000):
        rows = (Row(gemm.key_of(Problem(1 + i, 16 * (1 + at), 64)), 5) for i in range(20))
        yield Shard(KEY, "h.warm", at, rows=tuple(rows))


def _many_vetoes() -> Iterator[Shard]:
    for at in range(60):
        vetoes = (
            Veto(gemm.key_of(Problem(1 + i % 512, 5120, 5120)), 1 + i, "x" * 200, f"{at:012x}") for i in range(5000)
        )
        yield Shard(KEY, f"h{at}.warm", at, shard.VETOES, vetoes=tuple(vetoes))


HOSTILE = (
    _empty_files,
    _more_files_than_are_looked_at,
    _small_files,
    _sparse_files,
    _many_keys,
    _many_indices,
    _many_compactions,
    _sparse_compactions,
    _compactions_of_what_is_honest,
    _many_vetoes,
)


def _many(root: Path, count: int, rows: int) -> None:
    """Shards of a cluster in which many pods found the same: a few thousand distinct keys, or one for each shard."""
    place = root / "v1" / KEY / "shards"
    place.mkdir(parents=True)
    for at in range(count):
        numbers = range(at, at + rows) if rows == 1 else range(at % 20 * rows, (at % 20 + 1) * rows)
        made = (
            Row(gemm.key_of(Problem(1 + i % 512, 16 * (1 + i // 512), 5120)), 7, f"{NAME}{i % 999}", 9.0 + at % 7, 10.0)
            for i in numbers
        )
        _write(place, Shard(KEY, f"pod-{at}.warm", 1, rows=tuple(made)))


def _write(place: Path, one: Shard) -> None:
    """Write a shard without checking its lines, which costs more than all that is measured."""
    lines = [shard_lines.unchecked_row_line(row) for row in one.rows]
    lines += [f"{veto.key},{veto.algo_index},{veto.node},{veto.reason}" for veto in one.vetoes]
    empty = shard.encode(one._replace(rows=(), vetoes=()))
    body = empty[: empty.rindex(b"#end ")] + "".join(f"{line}\n" for line in lines).encode("ascii")
    sha256 = hashlib.sha256(body).hexdigest()
    data = body + shard.trailer(len(body), len(lines), sha256)
    (place / f"{one.origin}.{one.seq}.{sha256[:12]}.csv").write_bytes(data)


def _spent(program: str, store: str) -> tuple[float, float, str]:
    """Processor seconds, peak MiB, and what was printed."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "kernel")}
    command = [sys.executable, "-c", f"import sys{SPENT}", program, store, KEY]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    seconds, peak = done.stderr.split()[-2:]
    return float(seconds), float(peak), done.stdout
