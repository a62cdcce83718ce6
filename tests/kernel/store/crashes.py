"""One crash and what must hold after it: nothing that was acknowledged is lost, nothing that is there is wrong."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kernel.faults import FakeClock
from tests.kernel.mi300x import STACK
from tests.kernel.store import killing

from hipbmm_kernel.rows.gemm import KEY_COLUMNS, Row
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import table
from hipbmm_kernel.system.volume import Volume

ROOT = Path(__file__).resolve().parents[3]
KILLED = -9
WHENS = ("before", "half", "after", "lost")


def run(root: Path, at: int, when: str, under: Sequence[str] = ()) -> tuple[int, list[str]]:
    """The tuner and harvester in `root`, killed at one call, perhaps under a tracer: exit status and what it said.

    It may end with 1 under a tracer, when the error that was injected reached it and not our own code.
    """
    done = subprocess.run(
        [*under, sys.executable, "-S", str(Path(killing.__file__)), str(root), str(at), when],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'kernel'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    told = done.returncode == 1 and under and re.search(r"^\w+Error: \[Errno [0-9]+\]", done.stderr, re.MULTILINE)
    assert done.returncode in (0, KILLED) or told, done.stderr
    return done.returncode, done.stdout.splitlines()


def calls(root: Path) -> int:
    """How many write-type calls an undisturbed run makes."""
    status, said = run(root, 0, "before")
    assert status == 0
    return int(said[-1].split()[1])


def truth(*rows: Row) -> dict[str, int]:
    return {row.key: row.algo_index for row in rows}


def stored(root: Path) -> dict[str, int]:
    """What the store says, read with a sound volume."""
    reader = store.Reader(Volume(), FakeClock(), STACK.key, 1.0)
    merged = table.merge(reader.shards(str(root / "store")))
    return {row.key: row.algo_index for row in merged.winners()}


def served(root: Path) -> dict[str, int]:
    """The served file as AITER reads it: 20 fields, the first line of a key wins; nothing else is checked."""
    path = Path(killing.pod_settings(root).served_file)
    found: dict[str, int] = {}
    for line in path.read_text().split("\n") if path.exists() else []:
        fields = line.split(",")
        if len(fields) == KEY_COLUMNS + 2 and fields[0] == "true":
            found.setdefault(",".join(fields[:KEY_COLUMNS]), int(fields[KEY_COLUMNS]))
    return found


def check(root: Path, at: int, when: str) -> bool:
    """Crash once, look, then run again undisturbed: the same table as without the crash. Whether it did crash."""
    status, said = run(root, at, when)
    for path in (Path(line.removeprefix("lost ")) for line in said if line.startswith("lost ")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if "harvested" in said:
        assert stored(root) == truth(*killing.TUNED, *killing.LEARNED)
    check_after(root, said)
    return status == KILLED


def check_after(root: Path, said: Sequence[str]) -> None:
    """What must hold after a run that said so much, however it ended, and after another one that nothing disturbs."""
    everything = truth(*killing.TUNED, *killing.LEARNED)
    found = stored(root)
    assert found.items() <= everything.items(), "a wrong row is in the store"
    assert served(root).items() <= everything.items(), "a wrong row is served"
    acked = max((int(line.split()[1]) for line in said if line.startswith("acked")), default=0)
    assert truth(*killing.TUNED[:acked]).items() <= found.items(), "an acknowledged row is lost"
    again, _ = run(root, 0, "before")
    assert again == 0
    assert stored(root) == everything, "the run after the crash did not complete the table"
    assert served(root) == everything
