"""Does the table in memory work on this image? Asked of a child that has the plugin as the server will have it.

The child runs one planned GEMM. It must compute what fp32 computes, count it as verified, and leave no row in AITER's
file, for which online tuning is on in the child's environment as it is in the server's.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.contract.settings import SERVED_NAME
from hipbmm_kernel.dispatch import recorder
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.system import process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from hipbmm_kernel.dispatch.table import Table
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop

CHECK_SECONDS = 900.0
"""A cold JIT build of AITER's module takes minutes; the server is spared it then."""
GLANCE_SECONDS = 0.2
LOG_TAIL = 8192
MAX_ANSWER = 4096


class Checked(NamedTuple):
    """`works` is None when it could not be found out; `reason` says why it is not True."""

    works: bool | None
    reason: str = ""


def check(table: Table, env: Mapping[str, str], program: str, directory: str, clock: Clock, stop: Stop) -> Checked:
    """Run the cheapest problem of `table` through the plugin in `program`. Never raises.

    `env` is the server's; `directory` is made, used by the child and removed.
    """
    try:
        os.makedirs(directory)
        with open(f"{directory}/table", "wb") as file:
            file.write(tables.encode(table))
        return _child(table, env, program, directory, clock, stop)
    except (OSError, ValueError) as error:
        return Checked(None, f"no child could be asked: {error}"[:400])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _child(table: Table, env: Mapping[str, str], program: str, directory: str, clock: Clock, stop: Stop) -> Checked:
    exact = [entry for entry in table.entries if entry.padded_m == entry.m]
    entry = min(exact, key=lambda each: each.m * each.n * each.k)
    problem = [str(int(value)) for value in (entry.m, entry.n, entry.k, entry.bias)]
    command = [sys.executable, "-m", "hipbmm_kernel.dispatch.child", f"{directory}/answer", *problem]
    server = {**tables.with_program(env, program), tables.VARIABLE: f"{directory}/table"}
    with open(f"{directory}/log", "wb") as log:
        child = process.start(command, directory, server, log, log)
    try:
        ended = _wait(child, clock.monotonic() + CHECK_SECONDS, clock, stop)
    finally:
        process.kill_session(child.pid)
        status = child.wait()
    return Checked(None, ended) if ended else _answer(directory, status)


def _wait(child: subprocess.Popen[bytes], deadline: float, clock: Clock, stop: Stop) -> str:
    """Wait for the end of a child; why it must be ended, "" when it ended by itself."""
    while child.poll() is None:
        if clock.monotonic() >= deadline:
            return "the child did not answer in time"
        if stop.requested:
            return "the pod was asked to stop"
        stop.wait(GLANCE_SECONDS)
    return ""


def _answer(directory: str, status: int) -> Checked:
    """What a child that has ended left behind."""
    with open(f"{directory}/log", "rb") as log:
        log.seek(max(0, os.path.getsize(f"{directory}/log") - LOG_TAIL))
        words = process.last_words(log.read().decode("utf-8", "replace"))
    try:
        with open(f"{directory}/answer", "rb") as file:
            found = json.loads(file.read(MAX_ANSWER))
    except FileNotFoundError:
        return Checked(None, f"the child died of {process.ending(status)}: {words}")
    if not isinstance(found, dict) or "error" in found:
        return Checked(None, f"the child failed: {found['error'] if isinstance(found, dict) else found}"[:400])
    if not found.get("works"):
        return Checked(False, f"{found.get('reason')}: {words}"[:400])
    counted: dict[str, int] = {}
    for name in glob.glob(f"{glob.escape(directory)}/calls-*.bin"):
        with open(name, "rb") as calls:
            counted = recorder.read_calls(calls.read()) or counted
    if counted.get("verified") != 1 or os.path.exists(f"{directory}/{SERVED_NAME}"):
        return Checked(False, f"the planned GEMM did not run from the table: {counted}")
    return Checked(True)
