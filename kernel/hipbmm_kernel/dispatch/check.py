"""Does the table in memory work on this image, and which sizes are to be padded? Asked of a child set up as the server.

The child runs one planned GEMM. It must compute what fp32 computes, count it as verified, and leave no row in AITER's
file, for which online tuning is on in the child's environment as it is in the server's. Then it times the sizes that
`bands` names.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from hipbmm_kernel.contract.settings import SERVED_NAME
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.bands import Timed
from hipbmm_kernel.dispatch.table import Table
from hipbmm_kernel.system import process
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop

CHECK_SECONDS = 900.0
"""A cold JIT build of AITER's module takes minutes; the server is spared it then."""
RACE_SECONDS = 120.0
"""Of all measurements at most; sizes that are not reached are not padded."""
LAST_SECONDS = 20.0
"""For the last measurement that was begun in time; a device that hangs in it costs no more."""
GLANCE_SECONDS = 0.2
LOG_TAIL = 8192
MAX_ANSWER = 1 << 20


class Checked(NamedTuple):
    """`works` is None when it could not be found out; `reason` says why it is not True."""

    works: bool | None
    reason: str = ""
    timed: tuple[Timed, ...] = ()


def check(
    table: Table, env: Mapping[str, str], program: str, directory: str, seconds: float, clock: Clock, stop: Stop
) -> Checked:
    """Run the cheapest problem of `table` through the plugin in `program`, and time its gaps. Never raises.

    `env` is the server's, `seconds` are for the timing; `directory` is made, used by the child and removed.
    """
    try:
        shutil.rmtree(directory, ignore_errors=True)  # of a run that was killed
        os.makedirs(directory)
        with open(f"{directory}/table", "wb") as file:
            file.write(tables.encode(table))
        return _child(env, program, directory, min(seconds, RACE_SECONDS), clock, stop)
    except (OSError, ValueError) as error:
        return Checked(None, f"no child could be asked: {error}"[:400])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _child(env: Mapping[str, str], program: str, directory: str, seconds: float, clock: Clock, stop: Stop) -> Checked:
    command = [sys.executable, "-m", "hipbmm_kernel.dispatch.child", f"{directory}/answer", str(seconds)]
    server = {**tables.with_program(env, program), tables.VARIABLE: f"{directory}/table"}
    with open(f"{directory}/log", "wb") as log:
        child = process.start(command, directory, server, log, log)
    try:
        ended = _wait(child, f"{directory}/answer", seconds + LAST_SECONDS, clock, stop)
    finally:
        process.kill_session(child.pid)
        status = child.wait()
    return _answer(directory, ended or process.ending(status))


def _wait(child: subprocess.Popen[bytes], answer: str, seconds: float, clock: Clock, stop: Stop) -> str:
    """Wait for the end of a child, `seconds` after its first answer; why it is ended, "" when it ended by itself."""
    deadline, answered = clock.monotonic() + CHECK_SECONDS, False
    while child.poll() is None:
        if not answered and os.path.exists(answer):
            deadline, answered = clock.monotonic() + seconds, True
        if clock.monotonic() >= deadline:
            return "no answer in time"
        if stop.requested:
            return "the pod was asked to stop"
        stop.wait(GLANCE_SECONDS)
    return ""


def _answer(directory: str, ending: str) -> Checked:
    """What a child that has ended left behind; `ending` says how it ended."""
    with open(f"{directory}/log", "rb") as log:
        log.seek(max(0, os.path.getsize(f"{directory}/log") - LOG_TAIL))
        words = process.last_words(log.read().decode("utf-8", "replace"))
    try:
        with open(f"{directory}/answer", "rb") as file:
            found = json.loads(file.read(MAX_ANSWER))
    except FileNotFoundError:
        return Checked(None, f"the child ended without an answer ({ending}): {words}"[:400])
    if not isinstance(found, dict) or "error" in found:
        return Checked(None, f"the child failed: {found['error'] if isinstance(found, dict) else found}"[:400])
    if not found.get("works"):
        return Checked(False, f"{found.get('reason')}: {words}"[:400])
    if os.path.exists(f"{directory}/{SERVED_NAME}"):
        return Checked(False, "AITER tuned although the table is in memory")
    timed = []
    for values in found.get("timed", ()):
        with suppress(TypeError):
            timed.append(Timed(*values))
    return Checked(True, "", tuple(timed))
