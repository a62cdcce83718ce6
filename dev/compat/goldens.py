"""`python -m compat.goldens`: the oracle's answers on real vLLM, written where `make unit` compares with them.

Each file holds a config.json, a command line, vLLM's version and the answer. They take the place of formulas written by
hand: a new architecture is a line in compat.models.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from compat import environment, models
from compat.worker import JobFailed, Worker

FOLDER = environment.ROOT / "tests" / "golden" / "image"
PARALLEL = (1, 8)
QUANTISATION = "quantization_config"
"""The same in all of them, hence not in the files: compat.models.PTPC."""


def main() -> int:
    """Write every file anew; 1 when an architecture could not be asked."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    failed = 0
    worker = Worker(environment.NEWEST)
    with tempfile.TemporaryDirectory() as folder:
        for architecture in models.ARCHITECTURES:
            path = models.write(architecture, Path(folder))
            answers = {}
            for size in PARALLEL:
                try:
                    answers[str(size)] = _short(worker.run("ask", str(path), "-tp", str(size)))
                except JobFailed as error:
                    answers[str(size)] = {"refused": str(error).splitlines()[0][:200]}
            failed += "linears" not in answers["1"]
            document = {
                "vllm": environment.NEWEST,
                "config": {name: value for name, value in models.config(architecture).items() if name != QUANTISATION},
                "answers": answers,
            }
            text = json.dumps(document, sort_keys=True, separators=(",", ":"))
            (FOLDER / f"{architecture}.json").write_text(f"{text}\n")
            sys.stdout.write(f"{architecture}: {'refused' if 'refused' in answers['1'] else 'ok'}\n")
    worker.close()
    return 1 if failed else 0


def _short(answer: dict[str, object]) -> dict[str, object]:
    """What a golden file keeps: linears with vLLM's choice, and the sizes as counts."""
    if "refused" in answer:
        return {"refused": str(answer["refused"])[:200]}
    return {name: answer[name] for name in ("architecture", "linears", "graph_mode", "runner")}


if __name__ == "__main__":
    raise SystemExit(main())
