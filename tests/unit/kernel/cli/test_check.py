"""`check`: what a CSV holds, and what is left of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.kernel.csvtext import file, row

from hipbmm_kernel.cli.check import check_command

if TYPE_CHECKING:
    from pathlib import Path

from tests.unit.kernel.cli.commands import answer, run


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
        "line 4: rejected: 1 columns instead of 20: not the beginning of a row",
        "line 3: conflict: algo_index 5 for a key that an earlier line gives 777",
    ]
    assert run(check_command)[0] == 2


def test_foreign_text_is_escaped_for_people(tmp_path: Path) -> None:
    missing = tmp_path / "a\x1b[2J\n\udcff.csv"
    _, out, _ = run(check_command, missing)
    assert len(out.splitlines()) == 1
    assert out[:-1].isprintable()


@pytest.mark.parametrize(
    "data",
    [
        file(row(1), row(2)).replace(b",", b"\t"),
        file(row()).replace(b",", b";"),
        file(row(1, index=-1)),
        b"true,true,T",
    ],
    ids=["tabs", "semicolons", "no right index", "torn"],
)
def test_check_leaves_a_file_alone_of_which_no_row_is_left(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(data)
    code, _, err = run(check_command, source, "--repair", source)
    assert (code, source.read_bytes()) == (1, data)
    assert "no row is left" in err
