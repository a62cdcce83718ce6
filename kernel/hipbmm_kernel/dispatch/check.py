"""Does the table in memory work on this image, and which sizes are to be padded? Asked of a child set up as the server.

The child runs one planned GEMM. It must compute what fp32 computes, count it as verified, and leave no row in AITER's
file, for which online tuning is on in the child's environment as it is in the server's. Then it times the sizes that
`bands` names. A child of the tuning does the same when it has nothing else to do (`InTuning`); a child of its own is
started where there was none, or where that one has not shown that it works.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from hipbmm_kernel.contract.settings import CONTRACT_ENV, SERVED_NAME, Settings
from hipbmm_kernel.dispatch import bands, plugins
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.bands import Answer, Timed
from hipbmm_kernel.dispatch.table import Table
from hipbmm_kernel.store import table as store
from hipbmm_kernel.system import process
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.tune.handover import Last
from hipbmm_kernel.tune.protocol import Message

ANSWER = "answer"
"""The file with what the child has found out, in its directory."""
CHECK_SECONDS = 900.0
"""A cold JIT build of AITER's module takes minutes; the server is spared it then."""
RACE_SHARE, RACE_SECONDS = 0.1, 120.0
"""Of the budget, and at most, for all measurements; sizes that are not reached are not padded."""
STEP_SECONDS = 20.0
"""At least for the planned GEMM, and for each measurement: a device that hangs in one costs no more."""
GLANCE_SECONDS = 0.2
MAX_ANSWER = 1 << 20


def check(table: Table, env: Mapping[str, str], settings: Settings, clock: Clock, stop: Stop) -> Answer:
    """Run the cheapest problem of `table` through the pod's plugin, and time its gaps. Never raises.

    `env` is the server's.
    """
    directory = _directory(settings)
    try:
        _prepare(table, directory)
        return _child(directory, env, settings, clock, stop)
    except (OSError, ValueError) as error:
        return Answer(None, f"no child could be asked: {error}"[:400])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class InTuning(Last):
    """The same by a child of the tuning, as its last task: `table` makes the table of what the tuning has found."""

    def __init__(self, table: Callable[[store.Table], Table], env: Mapping[str, str], settings: Settings) -> None:
        super().__init__("dispatch.tuning_child", self._command, _step_seconds(settings))
        self._table = table
        self._env = {name: env.get(name) or value for name, value in CONTRACT_ENV.items()}
        self._directory = _directory(settings)
        self._race_seconds = _race_seconds(settings)

    def checked(self) -> Answer | None:
        """What the child has shown; None when it was not asked, or when a child of its own must say whether it works.

        A child that ended, or hung, is no reason to risk another one: whether it works is not known then.
        """
        try:
            found = Answer(None) if self.ended is None else _answer(self._directory, self.ended, "")
        except (OSError, ValueError) as error:
            found = Answer(None, str(error)[:400])
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
        return found if found.works or (self.ended and found.works is None) else None

    def _command(self, found: store.Table) -> Message | None:
        table = self._table(found)
        if not table.entries:
            return None
        try:
            _prepare(table, self._directory)
        except (OSError, ValueError):
            return None
        env = {**self._env, tables.VARIABLE: f"{self._directory}/table"}
        return {"directory": self._directory, "env": env, "seconds": self._race_seconds}


def _directory(settings: Settings) -> str:
    """Where a child works: it is made for it and removed behind it."""
    return f"{settings.dispatch_directory}/check"


def _race_seconds(settings: Settings) -> float:
    return min(RACE_SHARE * settings.budget_seconds, RACE_SECONDS)


def _step_seconds(settings: Settings) -> float:
    return max(settings.problem_seconds, STEP_SECONDS)


def _prepare(table: Table, directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)  # of a run that was killed
    os.makedirs(directory)
    with open(f"{directory}/table", "wb") as file:
        file.write(tables.encode(table))


def _child(directory: str, env: Mapping[str, str], settings: Settings, clock: Clock, stop: Stop) -> Answer:
    seconds = str(_race_seconds(settings))
    command = [sys.executable, "-m", "hipbmm_kernel.dispatch.child", f"{directory}/{ANSWER}", seconds]
    server = {**plugins.with_program(env, settings.program), tables.VARIABLE: f"{directory}/table"}
    with open(f"{directory}/log", "wb") as log:
        child = process.start(command, directory, server, log, log)
    try:
        ended = _wait(child, f"{directory}/{ANSWER}", _step_seconds(settings), clock, stop)
    finally:
        status = process.end(child, process.END_SECONDS)
    return _answer(directory, ended or process.ending(status), process.last_words_in(f"{directory}/log"))


def _wait(child: subprocess.Popen[bytes], answer: str, seconds: float, clock: Clock, stop: Stop) -> str:
    """Wait for the end of a child, `seconds` after it last wrote an answer; why it is ended, "" when it ended."""
    deadline, seen = clock.monotonic() + CHECK_SECONDS, 0
    while child.poll() is None:
        written = _written(answer)
        if written != seen:
            deadline, seen = clock.monotonic() + seconds, written
        if clock.monotonic() >= deadline:
            return "no answer in time"
        if stop.requested:
            return "warm was asked to end"
        stop.wait(GLANCE_SECONDS)
    return ""


def _written(answer: str) -> int:
    try:
        return os.stat(answer).st_mtime_ns
    except FileNotFoundError:
        return 0


def _answer(directory: str, ending: str, words: str) -> Answer:
    """What a child that has ended left behind; `ending` says how it ended, `words` are its last."""
    found: object = {}
    with suppress(FileNotFoundError), open(f"{directory}/{ANSWER}", "rb") as file:
        found = json.loads(file.read(MAX_ANSWER))
    if found == {}:  # what it wrote before the GEMM
        return Answer(None, ": ".join(filter(None, (f"the child ended without an answer ({ending})", words)))[:400])
    if not isinstance(found, dict) or "error" in found:
        return Answer(None, f"the child failed: {found['error'] if isinstance(found, dict) else found}"[:400])
    if not found.get("works"):
        return Answer(False, f"{found.get('reason')}: {words}"[:400])
    if os.path.exists(f"{directory}/{SERVED_NAME}"):
        return Answer(False, "AITER tuned although the table is in memory")
    timed = []
    for values in found.get("timed", ()):
        with suppress(TypeError):
            timed.append(Timed(*values))
    return Answer(True, "", bands.choose(timed))
