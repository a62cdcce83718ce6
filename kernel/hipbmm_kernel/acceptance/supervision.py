"""Runs of the checks' children: each has a deadline, and is described by how it ended and what it reported before.

However a child ends, that is an answer here and never an error of the acceptance itself.
"""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hipbmm_kernel.system import own_program, process

_TAIL = 600
"""Characters of a child's standard error that are kept as evidence."""

_PIPE_SECONDS = 5.0
"""How long a killed child's pipes may stay open, because a grandchild holds them."""


class Ended(NamedTuple):
    """How a process ended. `status` is its exit status, negative for a signal; None when it outlived its deadline."""

    status: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def well(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.status == 0

    def words(self) -> str:
        """How it ended, with its last words on standard error."""
        last = process.last_words(self.stderr)
        how = (
            f"ended with {process.ending(self.status)}"
            if self.status is not None
            else f"no answer within {self.seconds:.0f} s"
        )
        return f"{how}: {last[:200]}" if last else how

    def evidence(self) -> dict[str, object]:
        """For a report."""
        return {"ended": self.words(), "status": self.status, "stderr": self.stderr[-_TAIL:]}


class ChildRun(NamedTuple):
    """A child program's end, and what it reported before: values by subject, in the order they came."""

    end: Ended
    answers: Mapping[str, list[Any]]

    def last(self, subject: str) -> Any:  # noqa: ANN401 - any JSON value
        """The last value about a subject, None when the child reported nothing about it."""
        values = self.answers.get(subject)
        return values[-1] if values else None

    def evidence(self, *subjects: str) -> dict[str, Any]:
        """For a report: the last value about each of the subjects, and how the child ended."""
        return {**{subject: self.last(subject) for subject in subjects}, "end": self.end.evidence()}


def run_program(arguments: Sequence[str], directory: Path, env: Mapping[str, str], seconds: float) -> Ended:
    """Run a command of this program (`warm`, `exec` ...) as a process of its own."""
    return run_command([*own_program.command("__main__"), *arguments], directory, env, seconds)


def run_command(command: Sequence[str], directory: Path, env: Mapping[str, str], seconds: float) -> Ended:
    """Run any command to its end."""
    return wait(process.start(command, directory, env), seconds)


def child_command(program: str, arguments: Mapping[str, object], parent: int = 0) -> list[str]:
    """The command line of one of `programs.PROGRAMS`, which ends with process `parent`; 0 for use behind `exec --`."""
    return [*own_program.command("acceptance.child"), str(parent), program, json.dumps(arguments)]


def parse_answers(text: str) -> dict[str, list[Any]]:
    """Values by subject from a child's lines; a torn last line, and lines of other origin, are left out."""
    answers: dict[str, list[Any]] = {}
    for line in text.split("\n")[:-1]:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str):  # noqa: PLR2004 - a pair
            answers.setdefault(message[0], []).append(message[1])
    return answers


def wait(running: subprocess.Popen[bytes], seconds: float) -> Ended:
    """Wait for a process. Its whole session is killed at the deadline, and what it left behind when it ends."""
    began = time.monotonic()
    late = False
    try:
        out, err = running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        late = True
        process.kill_session(running.pid)
        try:
            out, err = running.communicate(timeout=_PIPE_SECONDS)
        except subprocess.TimeoutExpired as error:
            out, err = error.stdout or b"", error.stderr or b""
    finally:
        process.kill_session(running.pid)  # what the child started goes with it
    stdout, stderr = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    return Ended(None if late else running.returncode, stdout, stderr, time.monotonic() - began)
