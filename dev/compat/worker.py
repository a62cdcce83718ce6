"""One process per version of vLLM that has imported it once and forks for each job: an import costs 8 s, a job 1 to 3.

Jobs come as JSON lines on standard input, answers go to descriptor 3: `{"ok": ...}` or `{"error": "..."}`.
A job is `[function of compat.jobs, arguments, environment]`; it runs in a forked child, so no job sees another.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Any

from compat import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_SECONDS = 300
_ANSWERS = 3


class JobFailed(Exception):  # noqa: N818 - what vLLM raised
    """A job raised; the message is the error's kind and text."""


class Worker:
    """The parent's side of a worker for one version."""

    def __init__(self, version: str, *, cpu_tensors: bool = False, more: Mapping[str, str] | None = None) -> None:
        """With `cpu_tensors` tensors of device "cuda" live on the CPU (see compat.environment); `more` variables."""
        self.version = version
        answers, theirs = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import os; os.dup2({theirs}, 3); from compat.worker import main; main()"],
            env={**environment.environment(version, cpu_tensors=cpu_tensors), **(more or {})},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(theirs, 3) if theirs != _ANSWERS else (3,),
            text=True,
        )
        os.close(theirs)
        self._answers = os.fdopen(answers)

    def run(self, job: str, *arguments: Any, env: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """What a function of compat.jobs returns. JobFailed when it raised."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
        self._process.stdin.write(json.dumps([job, arguments, env or {}]) + "\n")
        self._process.stdin.flush()
        line = self._answers.readline()
        if not line:
            raise JobFailed(f"the worker of {self.version} ended: {self._tail()}")
        answer = json.loads(line)
        if "error" in answer:
            raise JobFailed(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None  # noqa: S101 - as above
        self._process.stdin.close()
        self._process.wait()
        self._answers.close()
        self._log.close()

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")[-2000:]


def main() -> None:
    """The worker's side."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    jobs = importlib.import_module("compat.jobs")
    jobs.preload()
    with os.fdopen(_ANSWERS, "w") as answers:
        for line in sys.stdin:
            job, arguments, env = json.loads(line)
            answers.write(_forked(jobs, job, arguments, env) + "\n")
            answers.flush()


def _forked(jobs: Any, job: str, arguments: list[Any], env: dict[str, str]) -> str:  # noqa: ANN401 - a module
    """One line of JSON from a child that ran the job."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(LIMIT_SECONDS)
        os.environ.update(env)
        try:
            text = json.dumps({"ok": getattr(jobs, job)(*arguments)})
        except BaseException as error:  # noqa: BLE001 - also SystemExit of an argument parser
            traceback.print_exc()
            text = json.dumps({"error": f"{type(error).__name__}: {error}"[:1500]})
        with os.fdopen(writing, "w") as out:
            out.write(text)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return text or json.dumps({"error": f"the job ended with status {status}"})
