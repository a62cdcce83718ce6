"""`plan`, `check` and `merge` as scripts use them: one JSON value, exit codes, files that are whole."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kernel import aiter_reader
from tests.unit.kernel.configs import encoded
from tests.unit.kernel.csvtext import file, row

from hipbmm_kernel.cli.check import check_command
from hipbmm_kernel.cli.plan import plan_command
from hipbmm_kernel.cli.stores import merge_command
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "9f2c0a1b2c3d4e5f"
OTHER_KEY = "0" * 16


def run(command: Callable[..., int], *argv: object) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    code = command([str(argument) for argument in argv], stdout, stderr)
    return code, stdout.getvalue(), stderr.getvalue()


def answer(command: Callable[..., int], *argv: object) -> tuple[int, Any]:
    code, out, _ = run(command, *argv, "-o", "json")
    assert out.count("\n") == 1
    return code, json.loads(out)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_bytes(encoded("qwen3-32b"))
    return path


def test_plan_keeps_its_contract(config: Path) -> None:
    code, plan = answer(plan_command, "--config", config, "--tensor-parallel-size", 4, "--vllm-version", "0.23.0")

    assert code == 0
    assert {
        key: plan[key] for key in ("architecture", "problems", "estimateSeconds", "source", "compatible", "reason")
    } == {
        "architecture": "Qwen3ForCausalLM",
        "problems": 204,
        "estimateSeconds": 16.5,
        "source": "Config",
        "compatible": True,
        "reason": "",
    }
    assert plan["tokens"] == plan["captureTokens"] == [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]
    assert plan["linears"][0] == {
        "name": "qkv_proj",
        "n": 2560,
        "k": 5120,
        "bias": False,
        "count": 64,
        "eligible": True,
        "reason": "",
        "fatal": False,
    }


def test_plan_takes_every_flag(config: Path) -> None:
    argv = ("--config", config, "--max-num-seqs", 64, "--max-num-batched-tokens", 400, "--num-speculative-tokens", 1)
    _, small = answer(plan_command, *argv, "--vllm-version", "0.33.0")
    _, capped = answer(plan_command, "--config", config, "--max-cudagraph-capture-size", 16)
    _, eager = answer(plan_command, "--config", config, "--enforce-eager")
    _, listed = answer(plan_command, "--config", config, "--cudagraph-capture-sizes", 512, 7)
    _, told = answer(plan_command, "--config", config, "--server-args", '["--max-num-seqs", "16", "-O0"]')
    _, own = answer(plan_command, "--config", config, "--tokens", "[3, 1]", "--linears", '[{"n": 64, "k": 64}]')

    assert small["captureTokens"][-1] == 256
    assert small["tokens"][-1] == 400
    assert capped["captureTokens"] == [1, 2, 4, 8, 16]
    assert eager["tokens"] == list(range(1, 513))
    assert listed["captureTokens"] == [7, 512]
    assert told["tokens"] == list(range(1, 513))
    assert own["tokens"] == [1, 3]
    assert own["problems"] == 10


def test_plan_names_a_config_it_cannot_plan(tmp_path: Path, config: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(encoded("qwen3-32b", hidden_size=-1))
    code, refusal = answer(plan_command, "--config", bad)

    assert code == 1
    assert (refusal["reason"], refusal["field"], refusal["value"]) == ("ConfigInvalid", "hidden_size", "-1")
    code, refusal = answer(plan_command, "--config", config, "--tensor-parallel-size", 3)
    assert (code, refusal["field"]) == (1, "num_attention_heads")
    for path in (tmp_path, tmp_path / "none", Path("a\0b")):
        code, refusal = answer(plan_command, "--config", path)
        assert (code, refusal["reason"], refusal["field"]) == (1, "ConfigInvalid", "config.json")
    bad.write_bytes(b" " * 5_000_000)
    code, refusal = answer(plan_command, "--config", bad)
    assert (code, refusal["field"]) == (1, "config.json")


def test_plan_reads_no_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "config.json"
    os.mkfifo(fifo)

    assert run(plan_command, "--config", fifo)[0] == 1


def test_plan_for_people(config: Path) -> None:
    code, out, _ = run(plan_command, "--config", config)

    assert code == 0
    assert "64 x gate_up_proj 51200x5120: eligible" in out
    assert "204 problems: 51 token counts from 1 to 512, about 27 to 64 s on one GPU" in out


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--config",),
        ("--config", "x", "--tensor-parallel-size", "0"),
        ("--config", "x", "--tensor-parallel-size", "-1"),
        ("--config", "x", "--max-num-seqs", "1e3"),
        ("--config", "x", "--vllm-version", "newest"),
        ("--config", "x", "--tokens", "[0]"),
        ("--config", "x", "--tokens", "[513]"),
        ("--config", "x", "--tokens", "{}"),
        ("--config", "x", "--linears", '[{"n": 1}]'),
        ("--config", "x", "--linears", '[{"n": 1, "k": -1}]'),
        ("--config", "x", "--linears", "[" * 50_000),
        ("--config", "x", "--server-args", "[1]"),
        ("--config", "x", "--nonsense"),
        ("--config", "x", "-o", "yaml"),
        ("extra", "--config", "x"),
    ],
)
def test_wrong_usage_of_plan(argv: tuple[str, ...]) -> None:
    code, out, err = run(plan_command, *argv)

    assert (code, out) == (2, "")
    assert "plan" in err


@pytest.mark.parametrize("command", [plan_command, check_command, merge_command])
def test_help_is_no_error(command: Callable[..., int]) -> None:
    code, out, err = run(command, "--help")

    assert (code, err) == (0, "")
    assert "usage:" in out


def test_check_counts_and_repairs(tmp_path: Path) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "b.csv"
    foreign = row(4).replace("true,true", "false,true")
    source.write_bytes(file(row(64), row(1), row(1), row(1, index=5), row(2, index=-1), foreign)[:-1])

    code, found = answer(check_command, source, "--repair", out)

    assert code == 1
    assert found == {
        "accepted": 2,
        "foreign": 1,
        "duplicates": 1,
        "conflicts": 1,
        "rejected": [{"line": 6, "reason": "algo_index '-1' is negative: it hides every later row of its key"}],
        "refused": None,
        "conflictLines": [{"line": 5, "reason": "algo_index 5 for a key that an earlier line gives 777"}],
    }
    assert out.read_bytes() == file(row(1), row(64), foreign)
    assert answer(check_command, out) == (
        0,
        {**found, "duplicates": 0, "conflicts": 0, "rejected": [], "conflictLines": []},
    )


def test_check_repairs_in_place(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(file(row(1), row(2))[:-100])

    assert answer(check_command, source, "--repair", source)[0] == 1
    assert source.read_bytes() == file(row(1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_check_refuses_what_is_no_file_of_rows(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone" / "x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "utf16").write_bytes("true".encode("utf-16"))
    out = tmp_path / "out.csv"
    for name in ("missing", "dangling", "fifo", "utf16", "."):
        code, found = answer(check_command, tmp_path / name, "--repair", out)
        assert code == 1
        assert found["refused"]
        assert (found["accepted"], found["rejected"]) == (0, [])
        assert not out.exists()


def test_check_follows_a_link_and_reads_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(file(row()))
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "empty").write_bytes(b"")

    assert answer(check_command, tmp_path / "link")[1]["accepted"] == 1
    assert answer(check_command, tmp_path / "empty")[0] == 0


def test_check_says_when_the_repair_cannot_be_written(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(file(row()))

    code, _, err = run(check_command, source, "--repair", tmp_path / "no" / "such" / "directory.csv")

    assert code == 1
    assert "cannot be written" in err


def test_check_for_people(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(file(row(1), row(1, index=5), "x"))

    _, out, _ = run(check_command, source)

    assert out.splitlines() == [
        "1 accepted, 0 foreign, 0 duplicates, 1 conflicts, 1 rejected",
        "line 4: rejected: 1 columns instead of 20: cut before the end of the row",
        "line 3: conflict: algo_index 5 for a key that an earlier line gives 777",
    ]
    assert run(check_command)[0] == 2


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
