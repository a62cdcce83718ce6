"""merge, compact and export of a store that holds something odd: the honest rows come out, and nothing else does."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.mi300x import STACK
from tests.kernel.store import stores

from hipbmm_kernel.cli.stores import compact_command, export_command, import_command, merge_command
from hipbmm_kernel.rows.gemm import Problem, Row, key_of
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system.volume import Volume

ROWS = [Row(key_of(Problem(m, 256, 512)), 7 + m, tuned_us=2.0, default_us=3.0, verified=True) for m in (1, 2, 4)]
NAME = "0bad.warm.1.0123456789ab.csv"


def forged(shards: Path, *inputs: str) -> None:
    data = shard.encode(Shard(STACK.key, "0bad.compact", 1, inputs=inputs, rows=(Row(ROWS[0].key, 99),)))
    (shards / shard.name_of(data)).write_bytes(data)
    stores.age(shards / shard.name_of(data))


def a_pipe_for_the_stack(shards: Path) -> None:
    (shards.parent / "stack.json").unlink()
    os.mkfifo(shards.parent / "stack.json")


def empty_files(shards: Path) -> None:
    for at in range(500):
        (shards / f"0bad-{at}.warm.1.{at:012x}.csv").touch()


def a_terabyte(shards: Path) -> None:
    (shards / NAME).touch()
    os.truncate(shards / NAME, 1 << 40)


def a_time_before_the_epoch(shards: Path) -> None:
    os.utime(next(shards.iterdir()), (-(2**33), -(2**33)))


def names_of_other_bytes(shards: Path) -> None:
    for at in range(20):
        os.close(os.open(os.fsencode(shards) + b"/\xff\xfe\n\x1b" + bytes([65 + at]), os.O_CREAT, 0o644))


def plans_in_deep_brackets(shards: Path) -> None:
    plans = shards.parent.parent / "plans"
    plans.mkdir()
    (plans / f"{'0' * 16}.json").write_text("[" * 200_000)


ODD: dict[str, Callable[[Path], object]] = {
    "an empty file": lambda shards: (shards / NAME).touch(),
    "a pipe": lambda shards: os.mkfifo(shards / NAME),
    "a pipe for the stack": a_pipe_for_the_stack,
    "a link to itself": lambda shards: (shards / NAME).symlink_to(NAME),
    "a link to a device": lambda shards: (shards / NAME).symlink_to("/dev/zero"),
    "a directory": lambda shards: (shards / NAME).mkdir(),
    "a second name of a shard": lambda shards: (shards / NAME).hardlink_to(next(shards.iterdir())),
    "a terabyte": a_terabyte,
    "a hole": lambda shards: (shards / NAME).write_bytes(bytes(100_000)),
    "names of other bytes": names_of_other_bytes,
    "a time to come": lambda shards: os.utime(next(shards.iterdir()), (2**40, 2**40)),
    "a time before the epoch": a_time_before_the_epoch,
    "empty files": empty_files,
    "a compaction of what is not there": lambda shards: forged(shards, NAME),
    "a key that is a file": lambda shards: (shards.parent.parent / ("f" * 16)).write_text(""),
    "a key without shards": lambda shards: (shards.parent.parent / ("e" * 16)).mkdir(),
    "plans that are a pipe": lambda shards: os.mkfifo(shards.parent.parent / "plans"),
    "plans in deep brackets": plans_in_deep_brackets,
}


@pytest.fixture(params=list(ODD.values()), ids=list(ODD))
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    store = tmp_path / "store"
    shards = stores.put(store, STACK, *ROWS, old=True).parent
    request.param(shards)
    return store


def run(command: Callable[..., int], *arguments: str | Path) -> dict[str, object]:
    out, err = io.StringIO(), io.StringIO()
    command([*map(str, arguments), "-o", "json"], out, err)
    assert "\x1b" not in out.getvalue() + err.getvalue()
    return dict(json.loads(out.getvalue()))


def honest(store: Path) -> dict[Problem, int]:
    found = table.merge(Reader(Volume(), FakeClock(), STACK.key, 1.0).shards(str(store)))
    return {row.problem: row.algo_index for row in found.winners() if row.verified}


WANTED = {row.problem: row.algo_index for row in ROWS}


def test_the_honest_rows_are_merged(odd: Path, tmp_path: Path) -> None:
    answer = run(merge_command, odd, "--key", STACK.key, "--out", tmp_path / "out.csv")
    assert (answer["error"], answer["rows"]) == (None, len(ROWS))
    text = (tmp_path / "out.csv").read_text()
    assert all(f"{row.key},{row.algo_index}," in text for row in ROWS)


def test_compacting_loses_no_honest_row(odd: Path) -> None:
    for _ in range(2):
        run(compact_command, odd, "--keep-hours", "0")
        assert honest(odd) == WANTED


def test_an_export_is_imported_with_the_honest_rows(odd: Path, tmp_path: Path) -> None:
    assert run(export_command, odd, tmp_path / "out.tar", "--key", STACK.key)["error"] is None
    (tmp_path / "new").mkdir()
    assert run(import_command, tmp_path / "out.tar", tmp_path / "new")["error"] is None
    assert honest(tmp_path / "new") == WANTED
