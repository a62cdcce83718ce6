"""`exec`: the last checks before the server, then the server itself in this very process.

Init containers do not run again when the server's container restarts, so what can go wrong between two starts is
handled here: a torn table, a table that crashes the server, a full or read-only disk, a working directory that is not
ours. Whatever is broken of ours, the server starts, with HIPBMM off where it could do harm.
"""

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import TextIO

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.settings import (
    BLOCK,
    CONTRACT_ENV,
    MEMORY,
    SERVED_NAME,
    Settings,
    SettingsError,
    parse_settings,
    with_contract,
)
from hipbmm_kernel.dispatch import end_marks, plugins, process_reports
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.pod import aiter_jit, listen, served_file, start_mode, state_file
from hipbmm_kernel.pod.start_mode import State
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.volume import Volume

USAGE = "usage: hipbmm_kernel exec -- COMMAND [ARGUMENT ...]\n"
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def exec_command(argv: list[str], env: Mapping[str, str], stderr: TextIO | None) -> int:
    """`exec -- COMMAND ...`: does not return if the server starts; 1 when policy Block forbids it, 2 on wrong usage.

    A setting that is wrong costs all that is ours, and the server only under policy Block.
    """
    log = Log(stderr)
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command or not command[0]:
        log.write(USAGE)
        return 2
    wrong = ""
    try:
        settings = parse_settings(env)
    except SettingsError as error:
        wrong = str(error)
        if env.get("HIPBMM_POLICY") == BLOCK:
            log.say(wrong)
            return 2
        settings = parse_settings({"HIPBMM_USER_FLAGS": env.get("HIPBMM_USER_FLAGS", "")})
    start = Start(settings, volumes.Volume(), Clock(), log)
    try:
        adjusted = start.plain(env, wrong) if wrong else start.prepare(env)
    except Exception as error:  # noqa: BLE001 - the server starts whatever happens to what is ours
        adjusted = start.plain(env, f"{type(error).__name__}: {error}")
    return 1 if adjusted is None else start.become(listen.reachable(command), adjusted)


class Log:
    """Lines of a command on standard error, which may be closed or broken: what cannot be written is not."""

    def __init__(self, stream: TextIO | None, command: str = "exec") -> None:
        self._stream = stream
        self._command = command

    def say(self, text: str) -> None:
        """One line."""
        self.write(f"hipbmm {self._command}: {one_line(text)}\n")

    def write(self, text: str) -> None:
        """A text that ends with a line end."""
        if self._stream is None:  # Python's name for a closed descriptor
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


class Start:
    """The checks of one start."""

    def __init__(self, settings: Settings, volume: Volume, clock: Clock, log: Log) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._log = log
        self._state = State()
        self._unreadable = False

    def prepare(self, env: Mapping[str, str]) -> dict[str, str] | None:
        """Count this start, put the table in order, go to the working directory: the server's environment.

        None when policy Block forbids the start.
        """
        found = self._report()
        state, before = self._next(found)
        if state.mode in (start_mode.TUNED, start_mode.NO_TABLE):
            obstacle = self._arrange(aside=state.mode == start_mode.NO_TABLE and before.mode != start_mode.NO_TABLE)
            state = start_mode.without_hipbmm(state, obstacle) if obstacle else state
        state = self._remember(state)
        if self._settings.policy == BLOCK:
            reason = start_mode.blocked(state, found)
            if reason is not None:
                self._not_started()
                self._say_blocked(reason)
                return None
        self._enter_directory()
        why = f": {state.reason}" if state.reason else ""
        self._log.say(f"start {state.starts} of the server, mode {state.mode}{why}")
        adjusted = {**server_env(env, state.mode, self._settings.user_flags), **self._directories(env, state)}
        asked = found is not None and found.get("dispatch") == MEMORY
        self._begin_reports(asked, why and f"mode {state.mode}{why}")
        if state.mode == start_mode.NO_AITER:
            return adjusted
        if self._settings.plugin:
            adjusted = self._with_kernel(adjusted)
        if state.mode == start_mode.TUNED and asked:
            adjusted = self._in_memory(adjusted)
        return self._with_marks(adjusted)

    def plain(self, env: Mapping[str, str], reason: str) -> dict[str, str] | None:
        """The server's own environment, for a start that cannot be counted; None under policy Block."""
        if self._settings.policy == BLOCK:
            self._say_blocked(reason)
            return None
        state = start_mode.uncounted(State(), reason)
        self._log.say(f"start of the server, mode {state.mode}: {state.reason}")
        return server_env(env, state.mode, self._settings.user_flags)

    def _say_blocked(self, reason: str) -> None:
        self._log.say(f"policy Block: the server is not started: {reason}")

    def _in_memory(self, env: dict[str, str]) -> dict[str, str]:
        """The environment with the plugin and its table; unchanged where vLLM or the plugin could not use them."""
        program, path = self._settings.program, self._settings.dispatch_table
        reason = plugins.obstacle(env, program)
        try:
            tables.decode(volumes.read_file(self._volume, path, tables.MAX_BYTES))
        except (OSError, ValueError) as error:
            reason = reason or f"{path}: {error}"
        if reason:
            self._log.say(f"dispatch File: {reason}")
            self._say(reason)
            return env
        self._log.say("dispatch Memory")
        return {**plugins.with_program(env, program), tables.VARIABLE: path}

    def _begin_reports(self, asked: bool, reason: str) -> None:
        """Let the processes of this start say whether they serve from memory; `reason` is why none will."""
        directory = self._settings.dispatch_directory
        with contextlib.suppress(OSError):  # without the mark of the start, silence says nothing
            if asked:
                process_reports.begin(directory, self._settings.tensor_parallel)
            else:
                process_reports.clear(directory)
        if asked and reason:
            self._say(reason)

    def _say(self, reason: str) -> None:
        with contextlib.suppress(OSError):
            process_reports.write(self._settings.dispatch_directory, reason)

    def _with_marks(self, env: dict[str, str]) -> dict[str, str]:
        """The environment in which each process of vLLM leaves a mark; unchanged where it would not load the plugin."""
        program = self._settings.program
        if plugins.obstacle(env, program):
            return env
        return {**plugins.with_program(env, program), end_marks.VARIABLE: self._settings.processes}

    def _with_kernel(self, env: dict[str, str]) -> dict[str, str]:
        """The environment in which vLLM finds the plugin with the bundled kernel, which obeys the same flags."""
        from hipbmm_kernel.dispatch import kernel_plugin  # noqa: PLC0415 - few servers need it

        reason = plugins.left_out(env, kernel_plugin.NAME)
        if reason:
            self._log.say(f"spec.server.plugin has no effect: {reason}")
            return env
        return kernel_plugin.environment(env, self._settings.program)

    def _next(self, found: Mapping[str, object] | None) -> tuple[State, State]:
        now, boot = self._clock.monotonic(), state_file.boot_id()
        before, obstacle = state_file.last(self._volume, self._settings.state_file, self._settings.pod_uid)
        window, orderly = self._settings.warmup_seconds, end_marks.orderly(self._settings.processes)
        state = start_mode.next_start(before, found, now, boot, window, orderly=orderly)
        if obstacle:
            self._unreadable = True
            state = start_mode.without_hipbmm(state, f"earlier starts are not known: {obstacle}")
        return state, before

    def _arrange(self, *, aside: bool) -> str:
        """Put the served file in order, or `aside`; why AITER could not use it then, "" when it can."""
        path = self._settings.served_file
        try:
            volumes.make_directories(self._volume, self._settings.work)
            if aside:
                served_file.put_aside(self._volume, path)
            else:
                done, rows = served_file.repair(self._volume, path)
                self._log.say(f"served file {done}, {rows} rows")
            served_file.check_appendable(path)
        except OSError as error:
            return f"the served file cannot be used: {volumes.describe(error)}"
        return ""

    def _remember(self, state: State) -> State:
        """Write the state, to the spare file where the disk refuses it or has lost it; what it becomes then."""
        path, wall = self._settings.state_file, self._clock.wall()
        self._state = state
        if self._unreadable:
            with contextlib.suppress(OSError):
                state_file.write(state_file.spare(path, self._settings.pod_uid), state, wall)
        try:
            state_file.write(path, state, wall)
        except OSError as error:
            words = f"this start could not be counted: {volumes.describe(error)}"
            try:
                state = start_mode.without_hipbmm(state, words)
                state_file.write(state_file.spare(path, self._settings.pod_uid), state, wall)
            except OSError:
                return start_mode.uncounted(state, words)
        return state

    def _not_started(self) -> None:
        """Take the count back: no server was started, so none will have ended."""
        self._remember(self._state._replace(boot=""))

    def _enter_directory(self) -> None:
        """AITER opens its table in the working directory and nowhere else: be there, or have a link to it here."""
        work = self._settings.work
        try:
            here = os.getcwd()
            if os.path.realpath(here) == os.path.realpath(work):
                return
            link = f"{here}/{SERVED_NAME}"
            if not (os.path.islink(link) and os.readlink(link) == self._settings.served_file):
                os.symlink(self._settings.served_file, link)
        except OSError as error:
            self._log.say(f"no link to the table can be made here ({volumes.describe(error)}); starting in {work}")
            try:
                os.chdir(work)
            except OSError as other:
                self._log.say(f"{work}: {volumes.describe(other)}; the server starts without a table")
            return
        self._log.say(f"{link} links to the table")

    def _directories(self, env: Mapping[str, str], state: State) -> dict[str, str]:
        """Variables of writable directories, for a server that runs AITER by our wish."""
        if state.mode == start_mode.NO_AITER:
            return {}
        try:
            return aiter_jit.variables(env, self._settings.home)
        except OSError as error:
            self._log.say(f"no directory for compiled modules: {volumes.describe(error)}")
            return {}

    def _report(self) -> dict[str, object] | None:
        found, problem = report.read(self._volume, self._settings.report_file)
        if problem:
            self._log.say(problem)
        return found

    def become(self, command: list[str], env: dict[str, str]) -> int:
        """Become the server: same process id, same signals. Returns only when it cannot be started."""
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores both, and an ignored signal stays ignored over exec
        try:
            os.execvpe(command[0], command, env)  # noqa: S606 - becoming another program is what this command is for
        except (OSError, ValueError) as error:
            # Of a name that no directory of PATH has, the error shows the last directory.
            self._log.say(f"{command[0]}: {getattr(error, 'strerror', error)}")
            self._not_started()
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def server_env(env: Mapping[str, str], mode: str, users: tuple[str, ...] = ()) -> dict[str, str]:
    """The server's environment. vLLM sets HIP_ONLINE_TUNING itself when HIPBMM is on, so HIPBMM is what is switched.

    In mode NoAiter it is the user's own: of the variables that switch HIPBMM on only those in `users`, which the user
    has set.
    """
    if mode == start_mode.NO_AITER:
        return {name: value for name, value in env.items() if CONTRACT_ENV.get(name) != value or name in users}
    if mode == start_mode.NO_HIPBMM:
        return {**env, "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0", "HIP_ONLINE_TUNING": "0"}
    return with_contract(env)
