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
