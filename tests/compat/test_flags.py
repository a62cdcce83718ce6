"""The golden answers about command lines are still what vLLM's own parser and dispatchers say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from compat import command_lines, goldens, models

if TYPE_CHECKING:
    from pathlib import Path

    from compat.worker import Worker

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("version", command_lines.VERSIONS)
def test_vllm_reads_command_lines_as_the_goldens_say(version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    golden = json.loads((goldens.FLAGS / f"{version}.json").read_text())
    folder = models.write(command_lines.MODEL, tmp_path)
    assert goldens.flags(workers[version], str(folder)) == golden


def test_a_batch_that_ranks_overlap_runs_in_parts(newest: Worker, tmp_path: Path) -> None:
    """Decodes from 32 tokens on, others from 512 on: those of 513 to 1024 run as 256 to 512, without a graph."""
    folder = str(models.write(command_lines.MODEL, tmp_path))
    whole = newest.run("flags", folder, "-dp", "2")
    alone = newest.run("flags", folder, "--enable-dbo")
    parts = newest.run("flags", folder, "-dp", "2", "--enable-dbo")
    assert alone["planned"] == whole["planned"]
    halves = {half for size in whole["capture_sizes"] if size >= 32 for half in (size // 2, size - size // 2)}
    assert set(parts["planned"]) == {*whole["planned"], *halves, *range(256, 513)}
    some = newest.run("flags", folder, "-dp", "2", "--ubatch-size", "3", "--dbo-decode-token-threshold", "100")
    assert {104 // 3, 104 - 104 // 3 * 2} <= set(some["planned"])
    assert {96 // 3, 88 // 3}.isdisjoint(set(some["planned"]) - set(whole["planned"]))
