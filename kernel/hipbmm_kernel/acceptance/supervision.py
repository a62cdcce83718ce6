"""Children of the checks: started in a directory of their own, with a deadline, and described by how they ended.

A child may be ended by AITER (`exit(1)`), by the ROCm runtime (SIGABRT), by a null dereference or by its deadline; each
is an answer here and never an error of the acceptance itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hipbmm_kernel.tune.worker import program_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from hipbmm_kernel.acceptance.child import main; sys.exit(main(sys.argv[2:]))"
)
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from hipbmm_kernel.__main__ import main; sys.exit(main(sys.argv[2:]))"
)
_TAIL = 600
"""Characters of a child's standard error that are kept as evidence."""

_AFTERLIFE_SECONDS = 5.0
"""How long a killed child's pipes may stay open, because a grandchild holds them."""

MAX_ANSWER = 16 << 20


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
        """How it ended, with the last line that it wrote to standard error."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        said = f": {lines[-1].strip()[:200]}" if lines else ""
        if self.status is None:
            return f"no answer within {self.seconds:.0f} s{said}"
        if self.status < 0:
            return f"ended by {_signal_name(-self.status)}{said}"
        return f"exit status {self.status}{said}"

    def evidence(self) -> dict[str, object]:
        """For a report."""
        return {"ended": self.words(), "status": self.status, "stderr": self.stderr[-_TAIL:]}


class Told(NamedTuple):
    """A child program's end, and what it told before: values by subject, in the order they came."""

    end: Ended
    answers: Mapping[str, list[Any]]

    def last(self, subject: str) -> Any:  # noqa: ANN401 - any JSON value
        """The last value about a subject, None when the child told nothing about it."""
        values = self.answers.get(subject)
        return values[-1] if values else None


def run_child(
    program: str, arguments: Mapping[str, object], directory: Path, env: Mapping[str, str], seconds: float
) -> Told:
    """Run one of `programs.PROGRAMS` in `directory`. Never raises for what the child does."""
    read, write = os.pipe()
    command = [sys.executable, "-c", _CHILD, program_root(), str(os.getpid()), str(write)]
    reader = _Reader(read)
    try:
        started = _start([*command, program, json.dumps(arguments)], directory, env, (write,))
    finally:
        os.close(write)
    end = _wait(started, seconds)
    return Told(end, reader.answers())


def run_program(arguments: Sequence[str], directory: Path, env: Mapping[str, str], seconds: float) -> Ended:
    """Run a command of this program (`warm`, `exec` ...) as a process of its own."""
    return run_command([*_program(), *arguments], directory, env, seconds)


def run_command(command: Sequence[str], directory: Path, env: Mapping[str, str], seconds: float) -> Ended:
    """Run any command. Its whole session is killed at the deadline, and what it left behind when it ends."""
    return _wait(_start(command, directory, env, ()), seconds)


def start_program(arguments: Sequence[str], directory: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command of this program and leave it running; `stop` ends it."""
    return _start([*_program(), *arguments], directory, env, ())


def stop(process: subprocess.Popen[bytes], seconds: float) -> Ended:
    """Ask a program to end (SIGTERM) and wait for it."""
    process.terminate()
    return _wait(process, seconds)


def child_command(program: str, arguments: Mapping[str, object]) -> list[str]:
    """The command line of a child program that tells on its standard output: for use behind `exec --`."""
    return [sys.executable, "-c", _CHILD, program_root(), "0", "1", program, json.dumps(arguments)]


def parse_answers(data: bytes) -> dict[str, list[Any]]:
    """Values by subject from a child's lines; a torn last line, and lines of other origin, are left out."""
    answers: dict[str, list[Any]] = {}
    for line in data.split(b"\n")[:-1]:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str):  # noqa: PLR2004 - a pair
            answers.setdefault(message[0], []).append(message[1])
    return answers


def _program() -> list[str]:
    return [sys.executable, "-c", _PROGRAM, program_root()]


class _Reader:
    """Drains the answer pipe while the child runs; a child that tells more than 16 MiB is not listened to further."""

    def __init__(self, descriptor: int) -> None:
        self._data = bytearray()
        self._thread = threading.Thread(target=self._drain, args=(descriptor,), daemon=True)
        self._thread.start()

    def _drain(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                if len(self._data) < MAX_ANSWER:
                    self._data += data

    def answers(self) -> dict[str, list[Any]]:
        self._thread.join(_AFTERLIFE_SECONDS)
        return parse_answers(bytes(self._data))


def _start(
    command: Sequence[str], directory: Path, env: Mapping[str, str], descriptors: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=directory,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> Ended:
    began = time.monotonic()
    late = False
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        late = True
        _kill_session(process.pid)
        try:
            out, err = process.communicate(timeout=_AFTERLIFE_SECONDS)
        except subprocess.TimeoutExpired as error:
            out, err = error.stdout or b"", error.stderr or b""
    finally:
        _kill_session(process.pid)  # what the child started goes with it
    stdout, stderr = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    return Ended(None if late else process.returncode, stdout, stderr, time.monotonic() - began)


def _kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def while_watching(watch: Callable[[], Told], act: Callable[[], Told], stop: Path) -> tuple[Told, Told]:
    """Run `act` while `watch` runs; the file `stop` then tells the watcher to end. What each came to."""
    watched: list[Told] = []
    thread = threading.Thread(target=lambda: watched.append(watch()))
    thread.start()
    try:
        acted = act()
    finally:
        stop.touch()
        thread.join()
    return watched[0], acted
