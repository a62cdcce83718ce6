"""The stand-in of vLLM reads command lines, and runs sizes, as vLLM 0.33 does: the goldens are vLLM's own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from compat import command_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "flags" / "0.33.0.json").read_text()
)
OF_THE_MODEL = {"-ep", "--enable-expert-parallel", "-dp 2 -tp 2 --enable-expert-parallel"}
"""What vLLM refuses for this model: it has no experts."""
CHUNKS = "--no-enable-chunked-prefill --max-num-batched-tokens 40960"
"""Refused for the model's length, which the stand-in does not know."""
MAX_M = 512


@pytest.fixture(scope="module")
def modules(stand_in: Callable[[str], ModuleType]) -> tuple[ModuleType, ModuleType]:
    return stand_in("vllm.arguments"), stand_in("vllm.capture")


def ran(arguments: Any, capture: ModuleType) -> set[int]:  # noqa: ANN401 - of a borrowed module
    """What looks a row up, as warmup.py and engine.py run it."""
    sizes = capture.capture_sizes(arguments)
    graphs = capture.Graphs(tuple(sizes), arguments.decode_only)
    most = min(MAX_M, arguments.max_num_batched_tokens)
    eager = {tokens for tokens in range(1, most + 1) if graphs.replayed(tokens, prefill=True) is None}
    found = set(capture.captured(arguments)) | eager | {min(arguments.max_num_seqs, arguments.max_num_batched_tokens)}
    return {size for size in found if size <= MAX_M}


@pytest.mark.parametrize("line", sorted(set(command_lines.LINES) - {CHUNKS}))
def test_a_command_line_is_read_as_vllm_reads_it(
    line: str, modules: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in command_lines.variables(line).items():
        monkeypatch.setenv(name, value)
    wanted = GOLDEN[line]
    arguments, capture = modules
    given = ["model", *command_lines.arguments(line)]
    if "refused" in wanted and line not in OF_THE_MODEL:
        with pytest.raises(SystemExit):
            arguments.parse(given)
        return
    parsed = arguments.parse(given)
    assert parsed.enable_expert_parallel == (line in OF_THE_MODEL)
    if line in OF_THE_MODEL:
        return
    assert {
        "tensor_parallel": parsed.tensor_parallel_size,
        "expert_parallel": parsed.enable_expert_parallel,
        "speculative_tokens": parsed.num_speculative_tokens,
        "max_num_seqs": parsed.max_num_seqs,
        "linear_backend": parsed.linear_backend,
        "planned": command_lines.spans(sorted(ran(parsed, capture))),
    } == wanted


@pytest.mark.parametrize(
    "line", ["--no-such-flag", "--max-num 8", "--performance-mode fast", "-cc [1]", "--enforce-eager=1"]
)
def test_what_vllms_parser_refuses_is_refused(line: str, modules: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(SystemExit) as refused:
        modules[0].parse(["model", *line.split(" ")])
    assert refused.value.code == 2


def test_a_configuration_file_comes_before_the_command_line(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("model: /models/small\nmax-num-seqs: 8\nenforce-eager: true\nasync-scheduling: false\n")
    for given in (["--config", str(file), "--max-num-seqs", "4"], [f"--config={file}", "--max-num-seqs=4"]):
        found = modules[0].parse(given)
        assert (found.model, found.max_num_seqs, found.enforce_eager) == ("/models/small", 4, True)
    file.write_text("cudagraph-capture-sizes: [1, 2]\n")
    found = modules[0].parse(["/models/other", "--config", str(file), "--port", "9"])
    assert (found.model, found.capture_sizes, found.port) == ("/models/other", (1, 2), 9)
