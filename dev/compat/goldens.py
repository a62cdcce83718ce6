"""`python -m compat.goldens`: the oracle's answers on real vLLM, written where `make unit` compares with them.

Each file holds a config.json, a command line, vLLM's version and the answer. They take the place of formulas written by
hand: a new architecture is a line in compat.models.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat import command_lines, environment, models
from compat.worker import JobFailed, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = environment.ROOT / "tests" / "golden" / "image"
FLAGS = environment.ROOT / "tests" / "golden" / "flags"
OPTIONS = environment.SIMULATOR / "vllm" / "options.json"
"""The simulator's command line has all flags of vLLM's, so that it abbreviates and refuses alike."""
_KEPT = ("tensor_parallel", "expert_parallel", "speculative_tokens", "max_num_seqs", "linear_backend", "planned")
PARALLEL = (1, 8)
ALL = (*command_lines.LINES, *command_lines.MORE)
SHARE = 40
"""Command lines that one process reads."""


def main() -> int:
    """Write every file anew; 1 when an architecture could not be asked."""
    _write_flags()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    worker = Worker(environment.NEWEST)
    with tempfile.TemporaryDirectory() as folder:
        failed = [architecture for architecture in models.ARCHITECTURES if not write(worker, architecture, folder)]
    worker.close()
    return 1 if failed else 0


def write(worker: Worker, architecture: str, folder: str) -> bool:
    """Write the file of one architecture; whether it could be asked."""
    path = models.write(architecture, Path(folder))
    answers = {}
    for size in PARALLEL:
        try:
            answers[str(size)] = _short(worker.run("ask", str(path), "-tp", str(size)))
        except JobFailed as error:
            answers[str(size)] = {"refused": str(error).splitlines()[0][:200]}
    config = {name: value for name, value in models.config(architecture).items() if name != models.QUANTISATION}
    document = {"vllm": environment.NEWEST, "config": config, "answers": answers}
    (FOLDER / f"{architecture}.json").write_text(f"{json.dumps(document, sort_keys=True, separators=(',', ':'))}\n")
    sys.stdout.write(f"{architecture}: {'refused' if 'refused' in answers['1'] else 'ok'}\n")
    return "linears" in answers["1"]


def _write_flags() -> None:
    FLAGS.mkdir(parents=True, exist_ok=True)
    for version in command_lines.VERSIONS:
        worker = Worker(version)
        with tempfile.TemporaryDirectory() as folder:
            answers = flags(worker, str(models.write(command_lines.MODEL, Path(folder))))
        if version == environment.NEWEST:
            found = ",\n".join(json.dumps(option) for option in worker.run("options"))
            OPTIONS.write_text(f"[\n{found}\n]\n")
        worker.close()
        lines = (f"{json.dumps(line)}: {json.dumps(answer)}" for line, answer in answers.items())
        (FLAGS / f"{version}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        sys.stdout.write(f"{version}: {len(answers)} command lines\n")


def flags(worker: Worker, folder: str, lines: Iterable[str] = ALL) -> dict[str, dict[str, object]]:
    """How the worker's vLLM reads each command line, sorted by line."""
    found: dict[str, dict[str, object]] = {}
    for line, answer in _answers(worker, folder, sorted(set(lines))):
        kept = {name: answer[name] for name in _KEPT if name in answer}
        if "planned" in kept:
            kept["planned"] = command_lines.spans(kept["planned"])
        found[line] = kept if "refused" not in answer else {"refused": True}
    return found


def _answers(worker: Worker, folder: str, lines: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An answer for each line. Those with the same variables share processes."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for line in lines:
        groups.setdefault(tuple(command_lines.variables(line).items()), []).append(line)
    for variables, group in groups.items():
        for at in range(0, len(group), SHARE):
            part = group[at : at + SHARE]
            arguments = [command_lines.arguments(line) for line in part]
            yield from zip(part, worker.run("flags_of_each", folder, arguments, env=dict(variables)), strict=True)


def _short(answer: dict[str, object]) -> dict[str, object]:
    """What a golden file keeps: linears with vLLM's choice."""
    if "refused" in answer:
        return {"refused": str(answer["refused"])[:200]}
    return {name: answer[name] for name in ("architecture", "linears")}


if __name__ == "__main__":
    raise SystemExit(main())
