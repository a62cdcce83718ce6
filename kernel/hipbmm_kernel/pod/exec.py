"""`exec`: the last checks before the server, then the server itself in this very process.

Init containers do not run again when the server's container restarts, so what can go wrong between two starts is
handled here: a torn table, a table that crashes the server, a working directory that is not ours.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from hipbmm_kernel.contract.settings import BLOCK, CONTRACT_ENV, SERVED_NAME, Settings, SettingsError, parse_settings
from hipbmm_kernel.pod import served_file, start_mode
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from hipbmm_kernel.system.volume import Volume

MAX_JSON = 4 << 20
BOOT_ID = "/proc/sys/kernel/random/boot_id"
USAGE = "usage: hipbmm_kernel exec -- COMMAND [ARGUMENT ...]\n"
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def exec_command(argv: list[str], env: Mapping[str, str], stderr: TextIO) -> int:
    """`exec -- COMMAND ...`: does not return if the server starts; 1 when policy Block forbids it, 2 on wrong usage."""
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        stderr.write(USAGE)
        return 2
    try:
        settings = parse_settings(env)
    except SettingsError as error:
        stderr.write(f"hipbmm exec: {error}\n")
        return 2
    launcher = Launcher(settings, volumes.Volume(), Clock(), stderr)
    adjusted = launcher.prepare(env)
    if adjusted is None:
        return 1
    return _replace(command, adjusted, stderr)


class Launcher:
    """The checks of one start."""

    def __init__(self, settings: Settings, volume: Volume, clock: Clock, stderr: TextIO) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._stderr = stderr

    def prepare(self, env: Mapping[str, str]) -> dict[str, str] | None:
        """Count this start, put the table in order, go to the working directory: the server's environment.

        None when policy Block forbids the start. What cannot be read or written is said and does not stop the server.
        """
        settings = self._settings
        report = self._read(settings.report_file)
        before = _state(self._read(settings.state_file))
        now, boot = self._clock.monotonic(), _boot_id()
        state = start_mode.next_start(before, report, now, boot, settings.warmup_seconds)
        self._remember(state)
        if settings.policy == BLOCK:
            reason = start_mode.blocked(state, report)
            if reason is not None:
                self._say(f"policy Block: the server is not started: {reason}")
                return None
        self._arrange(state, before)
        self._enter_directory()
        self._say(f"start {state.starts} of the server, mode {state.mode}{': ' if state.reason else ''}{state.reason}")
        return server_env(env, state.mode)

    def _arrange(self, state: start_mode.State, before: start_mode.State) -> None:
        """The served file as this mode wants it."""
        path = self._settings.served_file
        try:
            volumes.make_directories(self._volume, self._settings.work)
            if state.mode == start_mode.NO_TABLE and before.mode != start_mode.NO_TABLE:
                served_file.put_aside(self._volume, path)
                return
            done, rows = served_file.repair(self._volume, path)
        except OSError as error:
            self._say(f"the served file could not be put in order: {volumes.describe(error)}")
            return
        self._say(f"served file {done}, {rows} rows")

    def _enter_directory(self) -> None:
        """AITER opens its table in the working directory and nowhere else: be there, or have a link to it here."""
        here = os.getcwd()
        work = self._settings.work
        if os.path.realpath(here) == os.path.realpath(work):
            return
        link = f"{here}/{SERVED_NAME}"
        try:
            if not (os.path.islink(link) and os.readlink(link) == self._settings.served_file):
                os.symlink(self._settings.served_file, link)
        except OSError as error:
            self._say(f"no link to the table can be made in {here} ({volumes.describe(error)}); starting in {work}")
            self._change_directory(work)
            return
        self._say(f"{link} links to the table")

    def _change_directory(self, work: str) -> None:
        try:
            os.chdir(work)
        except OSError as error:
            self._say(f"{work}: {volumes.describe(error)}; the server starts without a table")

    def _remember(self, state: start_mode.State) -> None:
        document = {
            "starts": state.starts,
            "crashes": state.crashes,
            "mode": state.mode,
            "reason": state.reason,
            "time": timestamp(self._clock.wall()),
            "started": state.started,
            "boot": state.boot,
        }
        data = json.dumps(document, ensure_ascii=True).encode("ascii") + b"\n"
        try:
            volumes.replace_file(self._volume, self._settings.state_file, data)
        except OSError as error:
            self._say(f"this start could not be counted: {volumes.describe(error)}")

    def _read(self, path: str) -> dict[str, object] | None:
        """A JSON object of the pod's own disk; None when there is none that can be used."""
        try:
            document = json.loads(volumes.read_file(self._volume, path, MAX_JSON))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self._say(f"{path} cannot be used: {error}")
            return None
        return document if isinstance(document, dict) else None

    def _say(self, text: str) -> None:
        self._stderr.write(f"hipbmm exec: {text}\n")
        self._stderr.flush()


def server_env(env: Mapping[str, str], mode: str) -> dict[str, str]:
    """The server's environment. vLLM sets HIP_ONLINE_TUNING itself when HIPBMM is on, so HIPBMM is what is switched."""
    adjusted = dict(env)
    if mode == start_mode.NO_HIPBMM:
        adjusted["VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"] = "0"
        adjusted["HIP_ONLINE_TUNING"] = "0"
        return adjusted
    for name, value in CONTRACT_ENV.items():
        if not adjusted.get(name):
            adjusted[name] = value
    return adjusted


def _state(document: dict[str, object] | None) -> start_mode.State:
    """The state that was remembered; the first one when there is none or it is damaged."""
    if document is None:
        return start_mode.State()
    starts, crashes, started = (document.get(name) for name in ("starts", "crashes", "started"))
    if not (isinstance(starts, int) and isinstance(crashes, int) and isinstance(started, (int, float))):
        return start_mode.State()
    mode, boot = str(document.get("mode")), str(document.get("boot"))
    return start_mode.State(starts, crashes, mode, str(document.get("reason") or ""), float(started), boot)


def _boot_id() -> str:
    """Which boot the monotonic clock belongs to; "" where the kernel does not say."""
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _replace(command: list[str], env: dict[str, str], stderr: TextIO) -> int:
    """Become the server: same process id, same signals. Returns only when it cannot be started."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores both, and an ignored signal stays ignored over exec
    stderr.flush()
    try:
        os.execvpe(command[0], command, env)  # noqa: S606 - becoming another program is what this command is for
    except FileNotFoundError:
        stderr.write(f"hipbmm exec: {command[0]}: not found\n")
        return NOT_FOUND
    except OSError as error:
        stderr.write(f"hipbmm exec: {command[0]}: {error.strerror}\n")
        return NOT_EXECUTABLE
