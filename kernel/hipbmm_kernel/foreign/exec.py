"""`exec --foreign -- COMMAND`: the user's own command, in this process, in its own directory and with its arguments.

What this adds is variables, and only while the table is proven and the server does not end early. Starts are counted
as `exec` counts them; beyond the first mode there is only one: the user's own environment.
"""

import contextlib
import sys
from collections.abc import Mapping
from typing import TextIO

from hipbmm_kernel.contract.settings import MEMORY, SettingsError, parse_settings
from hipbmm_kernel.dispatch.plugin import NO_TUNING
from hipbmm_kernel.foreign import decision
from hipbmm_kernel.identity.software import add_python_path
from hipbmm_kernel.pod import aiter_jit, start_mode
from hipbmm_kernel.pod.exec import Log, Start
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock

USAGE = "usage: hipbmm_kernel exec --foreign -- COMMAND [ARGUMENT ...]\n"


def exec_command(argv: list[str], env: Mapping[str, str], stderr: TextIO | None) -> int:
    """`exec --foreign -- COMMAND ...`: does not return if the command starts; its status as a shell gives it if not."""
    log, env = Log(stderr), as_given(env)
    add_python_path(env.get(decision.PYTHONPATH, ""))
    command = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    if not command:
        (stderr or sys.stderr).write(USAGE)
        return 2
    try:
        settings = parse_settings(env)
    except SettingsError:
        settings = parse_settings({})
    start = ForeignStart(settings, volumes.Volume(), Clock(), log)
    if env.get(NO_TUNING):  # another `exec`, in front of a wrapper that was put between, has counted this start
        return start.become(command, dict(env))
    try:
        adjusted = start.prepare(env)
    except Exception as error:  # noqa: BLE001 - the user's command starts whatever happens to what is ours
        log.say(f"{type(error).__name__}: {error}; the server starts plain")
        adjusted = dict(env)
    return start.become(command, adjusted)


def as_given(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without LC_CTYPE where this Python has set it as it began (PEP 538)."""
    found = dict(env)
    with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
        if b"\0LC_CTYPE=" not in b"\0" + file.read():
            found.pop("LC_CTYPE", None)
    return found


class ForeignStart(Start):
    """The checks of one start of a server that is not ours."""

    def prepare(self, env: Mapping[str, str]) -> dict[str, str]:
        """Count this start: the server's environment."""
        report = self._report()
        state, _ = self._next(report)
        state = self._remember(state)
        # All that this process sees is the user's, and what it sets reaches the server.
        directories = aiter_jit.variables(env, self._settings.home)
        found, reason = decision.variables(report, env, (), self._settings.home, directories)
        if state.mode != start_mode.TUNED:
            found, reason = {}, state.reason
        self._begin_reports(report is not None and report.get("dispatch") == MEMORY, reason)
        self._log.say(f"start {state.starts} of the server, {f'plain: {reason}' if reason else 'with the table'}")
        return {**env, **found, **({NO_TUNING: "1"} if found else {})}
