"""Command lines as the built-in planner reads them, against what vLLM's own parser and dispatchers make of them.

What differs must be named in `unread`, which reaches the status.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from compat import command_lines
from hipbmm_kernel.planner import tokens, vllm_version
from hipbmm_kernel.planner.server_flags import ServerFlags, in_environment

FOLDER = Path(__file__).parents[3] / "golden" / "flags"
LINES = sorted({*command_lines.LINES, *command_lines.MORE})
CASES = [(version, line) for version in command_lines.VERSIONS for line in LINES]


@functools.cache
def golden(version: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / f"{version}.json").read_text())
    return found


def read(flags: ServerFlags, version: str) -> dict[str, object]:
    number = vllm_version.parse(version)
    assert number is not None
    made = tokens.plan(flags._replace(tensor_parallel=flags.tensor_parallel or 1), number)
    return {
        "tensor_parallel": flags.tensor_parallel or 1,
        "expert_parallel": flags.expert_parallel,
        "speculative_tokens": flags.speculative_tokens,
        "max_num_seqs": flags.max_num_seqs,
        "linear_backend": flags.linear_backend,
        "planned": command_lines.spans(list(made.planned)),
    }


@pytest.mark.parametrize(("version", "line"), CASES)
def test_a_command_line_is_read_as_vllm_reads_it_or_named(version: str, line: str) -> None:
    wanted = golden(version)[line]
    flags = in_environment(ServerFlags.from_argv(command_lines.arguments(line)), command_lines.variables(line))
    if "refused" in wanted or flags.unread:
        return
    found = read(flags, version)
    # The default, which depends on other flags, decides through `planned` alone.
    found["max_num_seqs"] = found["max_num_seqs"] or wanted["max_num_seqs"]
    assert found == wanted


@pytest.mark.parametrize("version", command_lines.VERSIONS)
def test_vllm_takes_most_of_the_command_lines(version: str) -> None:
    refused = {line for line, answer in golden(version).items() if "refused" in answer}
    assert set(golden(version)) == set(LINES)
    assert len(refused.intersection(command_lines.LINES)) < 40
    assert len(refused) < len(golden(version)) / 2
