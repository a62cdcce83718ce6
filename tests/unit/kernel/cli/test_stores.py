"""`merge`: the table of a store as a file that is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.kernel import aiter_reader
from tests.unit.kernel.cli.commands import answer, run

from hipbmm_kernel.cli.stores import merge_command
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard

if TYPE_CHECKING:
    from pathlib import Path

KEY = "9f2c0a1b2c3d4e5f"
OTHER_KEY = "0" * 16


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of two keys; the first has two shards of rows, a veto, and two files that are no shards."""
    root = tmp_path / "store"
    rows = [Row(gemm.key_of(Problem(m, 16, 32)), index, f"Cijk_{m}", us) for m, index, us in ((8, 5, 9.0), (1, 6, 8.0))]
    better = Row(rows[0].key, 7, "Cijk_x", 3.0)
    bad = Row(rows[0].key, 8, "Cijk_y", 1.0, None, verified=True)
    contents = [
        shard.Shard(KEY, "pod.0", 0, rows=tuple(rows)),
        shard.Shard(KEY, "pod.1", 0, rows=(better, bad)),
        *(
            shard.Shard(KEY, "pod.1", at, shard.VETOES, vetoes=(Veto(bad.key, 8, "wrong result", f"{at:012x}"),))
            for at in (1, 2)
        ),
        shard.Shard(OTHER_KEY, "pod.0", 0, rows=(better,)),
    ]
    for each in contents:
        directory = root / "v1" / each.key / "shards"
        directory.mkdir(parents=True, exist_ok=True)
        data = shard.encode(each)
        (directory / shard.name_of(data)).write_bytes(data)
    (root / "v1" / KEY / "shards" / "pod.2.0.0123456789ab.csv").write_bytes(shard.encode(contents[0])[:-1])
    (root / "v1" / KEY / "shards" / "notes.txt").write_text("x")
    return root


def test_merge_writes_the_table_of_one_key(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"

    code, found = answer(merge_command, store, "--key", KEY, "--out", out)

    assert code == 0
    assert {key: found[key] for key in ("key", "shards", "rows", "vetoes", "refusedCount", "error")} == {
        "key": KEY,
        "shards": 4,
        "rows": 2,
        "vetoes": 1,
        "refusedCount": 1,
        "error": None,
    }
    assert [(r.problem.m, r.algo_index, r.kernel_name) for r in aiter_csv.parse(out.read_bytes()).accepted] == [
        (1, 6, "Cijk_1"),
        (8, 7, "Cijk_x"),
    ]
    assert sorted(aiter_reader.table(out.read_bytes()).values()) == [6, 7]


def test_merge_writes_the_times_of_each_shape(store: Path, tmp_path: Path) -> None:
    measured = Row(gemm.key_of(Problem(2, 16, 32)), 9, "Cijk_z", 4.0, 5.0, verified=True)
    data = shard.encode(shard.Shard(KEY, "pod.3", 0, rows=(measured,)))
    (store / "v1" / KEY / "shards" / shard.name_of(data)).write_bytes(data)
    times = tmp_path / "times.csv"

    code, _ = answer(merge_command, store, "--key", KEY, "--out", tmp_path / "out.csv", "--times", times)

    assert code == 0
    assert times.read_text().splitlines() == [
        "M,N,K,index,kernel,tuned_us,default_us,speedup",
        "1,16,32,6,Cijk_1,8.000,,",
        "2,16,32,9,Cijk_z,4.000,5.000,1.250",
        "8,16,32,7,Cijk_x,3.000,,",
    ]


def test_merge_needs_to_know_which_key(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for argv, words in (
        ((store,), "choose one with --key"),
        ((store, "--key", "f" * 16), "has no key"),
        ((store, "--key", "../x"), "not a key"),
        ((tmp_path,), "ENOENT"),
    ):
        code, found = answer(merge_command, *argv, "--out", out)
        assert code == 1
        assert words in found["error"]
        assert not out.exists()
    assert run(merge_command, store)[0] == 2


def test_merge_takes_the_only_key_by_itself(store: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    (only / "v1").mkdir(parents=True)
    (store / "v1" / OTHER_KEY).rename(only / "v1" / OTHER_KEY)

    code, out, _ = run(merge_command, only, "--out", tmp_path / "out.csv")

    assert (code, out) == (0, f"1 rows of key {OTHER_KEY} from 1 shards\n")
