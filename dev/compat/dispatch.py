"""A forward pass of real vLLM with the table in memory, which vLLM's own loader of plugins has put there."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
from typing import Any

from compat import forward
from hipbmm_kernel.dispatch import plugin
from hipbmm_kernel.identity.container import read_identity


def stack() -> str:
    """The stack of this process, as a table has it."""
    identity = read_identity(os.environ["HIPBMM_SYSFS"], os.environ["HIPBMM_DEV"], os.environ, simulated=True)
    return identity.stack.canonical().decode()


def served(tokens: list[int], program: str, start: str, *arguments: str) -> dict[str, Any]:
    """What AITER is asked while batches of so many tokens pass: here, or in a worker that was forked or spawned.

    `program` is the directory that `payload` leaves behind, at the end of the path.
    """
    sys.path.append(program)
    if start == "here":
        _load_plugins()
        return _pass(tokens, *arguments)
    if start == "fork":  # what the parent has loaded is what the worker has
        _load_plugins()
    context: Any = multiprocessing.get_context(start)
    reading, writing = context.Pipe(duplex=False)
    worker = context.Process(target=_worker, args=(writing, program, start, tokens, arguments))
    worker.start()
    writing.close()
    answer: dict[str, Any] = json.loads(reading.recv())
    worker.join()
    return answer


def _worker(writing: Any, program: str, start: str, tokens: list[int], arguments: tuple[str, ...]) -> None:  # noqa: ANN401 - a Connection
    if start == "spawn":
        importlib.import_module("torch")  # as worker.main does, before vLLM asks for triton
        sys.path.append(program)
        _load_plugins()  # vLLM's workers do, before they import layers and ask for AITER
        importlib.import_module("compat.jobs").preload()
    writing.send(json.dumps(_pass(tokens, *arguments)))
    writing.close()


def _load_plugins() -> None:
    importlib.import_module("vllm.plugins").load_general_plugins()


def _pass(tokens: list[int], *arguments: str) -> dict[str, Any]:
    """The index of each call and how AITER came to it, opens and rows of AITER's file, calls by result."""
    gemm: Any = importlib.import_module("aiter_simulator.gemm")
    used: list[list[Any]] = []
    opened: list[str] = []
    launch = gemm._launch  # noqa: SLF001 - the simulator says what ran in no other way

    def watched(solutions: Any, problem: Any, choice: Any) -> Any:  # noqa: ANN401 - the simulator's
        used.append([problem.M, problem.N, problem.K, choice.index, choice.on])
        return launch(solutions, problem, choice)

    def audit(event: str, values: tuple[Any, ...]) -> None:
        if event == "open" and forward.TABLE in str(values[0]):
            opened.append(str(values[0]))

    gemm._launch = watched  # noqa: SLF001 - as above
    sys.addaudithook(audit)
    rows = forward.rows(tokens, *arguments)
    totals = [recorder.totals() for recorder in plugin.recorders]
    return {"used": used, "opened": len(opened), "rows": len(rows), "totals": totals}
