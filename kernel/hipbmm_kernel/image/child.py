"""The child: asks the image's own vLLM for the plan of one server and leaves the answer in a file.

Run as a program of its own: `child REQUEST ANSWER`. REQUEST is a JSON object with the server's `arguments`; ANSWER gets
the answer, or an object with `refused` or `error` and nothing else.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from hipbmm_kernel.image import engine, layers, single_process, sizes
from hipbmm_kernel.planner import answer

_WITHOUT_MODEL = ("ngram", "ngram_gpu", "suffix")
"""Methods of speculation that draft without a model (0.23.0 to 0.33.0)."""


def main(argv: list[str]) -> int:
    """Ask, write what came of it, and end with 0 when ANSWER holds an object."""
    request_file, answer_file = argv
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of a gigabyte, into a pod's home of limited size
    request = json.loads(Path(request_file).read_bytes())
    trace = ""
    try:
        data = answer.encode(ask(tuple(request["arguments"])))
    except engine.Refused as refused:
        data = json.dumps({"refused": str(refused)[:1000]}).encode()
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - all that somebody else's code raises
        data = json.dumps({"error": f"{type(error).__name__}: {str(error)[:1000]}"}).encode()
        trace = traceback.format_exc()
    _write(answer_file, data)
    # Somebody else's code may have closed the standard streams, or put others in their place.
    with contextlib.suppress(Exception):
        sys.stderr.write(trace)
        sys.stderr.flush()
        sys.stdout.flush()
    # Threads of torch, Triton and vLLM may not want to end: there is nothing left that needs them.
    os._exit(0)


def ask(arguments: tuple[str, ...]) -> answer.Answer:
    """The plan of a server with these arguments, by the vLLM of this interpreter. Raises what vLLM raises."""
    notes: list[str] = []
    importlib.import_module("torch").set_num_threads(1)
    with contextlib.suppress(ImportError, AttributeError):
        single_process.inspection()
    config = engine.config(arguments, notes)
    model = layers.build(config)
    found = layers.linears(model, notes)
    ran = sizes.of(config, notes)
    if getattr(config.speculative_config, "method", "ngram") not in _WITHOUT_MODEL:
        found += _of_draft(config, notes)
    return answer.Answer(
        vllm=str(getattr(importlib.import_module("vllm"), "__version__", "unknown"))[:100],
        architecture=str(getattr(config.model_config, "architecture", ""))[: answer.MAX_TEXT],
        quantisation=str(config.model_config.quantization or "none")[:100],
        linears=found,
        notes=tuple(note[: answer.MAX_TEXT] for note in notes[: answer.MAX_NOTES]),
        **ran,
    )


def _of_draft(config: Any, notes: list[str]) -> tuple[answer.ImageLinear, ...]:
    """The draft model's linears, which run with the same numbers of tokens; none, and a note, where it is not built."""
    try:
        model = layers.build_draft(config)
    except Exception as error:  # noqa: BLE001 - vLLM's or the model's own code; the server's plan does not depend on it
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        notes.append(f"the draft model's own linears are not in the plan: {reason}")
        return ()
    return tuple(
        linear._replace(path=f"draft.{linear.path}"[: answer.MAX_TEXT]) for linear in layers.linears(model, notes)
    )


def _write(path: str, data: bytes) -> None:
    """Whole or not at all, as on a full disk; what somebody else's code may have left there does not matter."""
    temporary = Path(f"{path}.new")
    temporary.write_bytes(data)
    temporary.rename(path)
