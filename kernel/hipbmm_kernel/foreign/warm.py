"""`warm -- ARGV` in a copy of a server's container that is not ours: `warm` in a child, bounded, and what it decides.

The child is the very `warm` of a pod of ours, with settings made from the server's command line. This process keeps
the deadline, looks at the memory that is left, and writes the file `env`. Whatever happens, its status is 0, and the
server starts: with the table only where the child has proven it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import TextIO

from hipbmm_kernel.argv import builtin
from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.report import Report
from hipbmm_kernel.contract.settings import ENV_FILE, FILE, SERVE_UNTUNED, SettingsError, parse_settings
from hipbmm_kernel.dispatch import plugins, process_reports
from hipbmm_kernel.foreign import decision, env_file, memory, server
from hipbmm_kernel.identity.gpu import read_gpus, visible_gpus
from hipbmm_kernel.identity.software import add_python_path
from hipbmm_kernel.pod import aiter_jit, state_file
from hipbmm_kernel.pod.exec import Log
from hipbmm_kernel.system import own_program, process
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.memory import left
from hipbmm_kernel.system.process_tree import ProcessTree
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.system.volume import Volume

BUDGET_SECONDS = "180"
"""Of a profile that says nothing: production roll-outs wait 300 to 1200 s for a pod, and the model loads after this."""
IMAGE_SHARE = 0.25
TUNE_SHARE = 0.6
"""Of the budget. What is left is for reading stores, the proof of the table in memory, and publishing."""
GRACE_SECONDS = 25.0
"""From the request to end until the child is killed: rows are published, the report is written."""
STOP_SECONDS = 5.0
GLANCE_SECONDS = 0.2
STORE_SECONDS = 5.0
"""For asking whether the store is there: a shared volume may hang."""
FAILED = "TunerFailed"


def warm_command(argv: list[str], env: Mapping[str, str], stderr: TextIO | None) -> int:
    """`warm -- ARGV`: 0 always."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, and the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    add_python_path(env.get(decision.PYTHONPATH, ""))
    log = Log(stderr or sys.stdout, "warm")
    try:
        with Stop() as stop:
            _Run(argv[1:], env, stop, log).run()
    except Exception as error:  # noqa: BLE001 - the server starts plain, whatever happens to what is ours
        log.say(f"{type(error).__name__}: {error}; the server starts plain")
    return 0


class _Run:
    def __init__(self, argv: list[str], env: Mapping[str, str], stop: Stop, log: Log) -> None:
        self._argv = argv
        ours = {"HIPBMM_POLICY": SERVE_UNTUNED}
        self._env, self._notes = usable({"HIPBMM_BUDGET_SECONDS": BUDGET_SECONDS, **env, **ours})
        self._settings = parse_settings(self._env)
        self._stop = stop
        self._log = log
        self._clock = Clock()
        self._volume = Volume()
        self._began = self._clock.monotonic()

    def run(self) -> None:
        """Everything. Only what the pod's own disk refuses is raised."""
        if os.path.exists(self._settings.report_file):
            self._log.say("an earlier run in this pod has done it all")
            return
        volumes.make_directories(self._volume, self._settings.home)
        try:
            reason = self._unfinished() or self._child()
        except Exception as error:  # noqa: BLE001 - the report and the file `env` are there whatever happens
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self._report(reason)
        self._decide()

    def _unfinished(self) -> str:
        """Why nothing is done here: what ended an earlier run would end this one, and restart the pod's group again."""
        try:
            attempts = state_file.read(self._volume, self._settings.state_file).attempts
        except state_file.StateError as error:
            return f"earlier runs are not known: {error}"
        return "an earlier run of warm in this pod was ended before it was done" if attempts else ""

    def _child(self) -> str:
        """Run `warm`; why there is no report of it, "" when there is one."""
        command = [*own_program.command("__main__"), "warm"]
        with ProcessTree():  # also the image's vLLM that is being asked, in a session of its own
            env = self._settings_of_child()
            child = process.start(command, _directory(env), env, 1, 2)
            try:
                ended = self._wait(child)
            finally:
                status = process.end(child, process.END_SECONDS)
        if os.path.exists(self._settings.report_file):
            return ""
        return ended or f"warm ended with {process.ending(status)}"

    def _settings_of_child(self) -> dict[str, str]:
        """The environment of the child: the server's, the settings that its command line gives, and limits."""
        here = {builtin.HERE: os.getcwd()}
        seen = plugins.with_program(self._env, self._settings.program) | here  # as the server's command line is started
        found = server.find(self._argv, seen, has_command=self._settings.mode != ENV_FILE)
        gpus = len(read_gpus(self._settings.sysfs, self._settings.dev, self._env, []))
        room = memory.room(left(), gpus)
        budget = self._settings.budget_seconds
        limits = {
            "HIPBMM_BUDGET_SECONDS": str(budget * TUNE_SHARE),
            "HIPBMM_IMAGE_SECONDS": str(min(self._settings.image_seconds, budget * IMAGE_SHARE) if room.ask else 0),
            "HIPBMM_READ_SECONDS": str(min(self._settings.read_seconds, budget / 6)),
            "HIPBMM_NOTES": json.dumps([note for note in (found.note, room.note, *self._notes) if note]),
        }
        path = found.env.get(decision.PYTHONPATH, self._settings.program)
        if decision.PYTHONPATH in found.hidden or self._settings.program not in path.split(":"):
            limits["HIPBMM_DISPATCH"] = FILE  # the server does not find the plugin, and without it it gets no table
        if not room.gpus:
            limits["HIPBMM_TUNE"] = "0"
        elif room.gpus < gpus:
            limits["HIP_VISIBLE_DEVICES"] = ",".join(visible_gpus(self._env, gpus)[: room.gpus])
        with contextlib.suppress(TooLate, OSError):  # that a volume hangs, or is not there, the child reports
            if within(STORE_SECONDS, os.path.isdir, self._settings.store):  # a claim
                limits["HIPBMM_COOPERATE"] = "1"
            else:  # without one, nobody has made it yet
                os.makedirs(self._settings.store, exist_ok=True)
        return {**self._env, **here, **found.env, **limits}

    def _wait(self, child: subprocess.Popen[bytes]) -> str:
        """Wait for the child; why it had to be ended, "" when it ended by itself.

        When its time is up it is asked to end, which publishes and reports what there is; then it is killed.
        """
        kill_at = float("inf")
        reason = ""
        while child.poll() is None:
            now = self._clock.monotonic()
            if not reason and (self._stop.requested or now >= self._began + self._settings.budget_seconds):
                reason = "the pod was asked to stop" if self._stop.requested else "warm did not end within its time"
                kill_at = now + (STOP_SECONDS if self._stop.requested else GRACE_SECONDS)
                child.send_signal(signal.SIGTERM)
            if now >= kill_at:
                return reason
            # A stop that was requested keeps the descriptor readable, so that waiting for it would not wait.
            self._clock.sleep(GLANCE_SECONDS) if self._stop.requested else self._stop.wait(GLANCE_SECONDS)
        return reason

    def _report(self, reason: str) -> None:
        """A report of this process, where the child has left none."""
        found = Report(report.FAILED, FAILED, reason, hipbmm=False)
        self._log.say(reason)
        for path, data in (
            (self._settings.report_file, report.whole(found)),
            (self._settings.termination_log, report.termination_message(found)),
        ):
            try:
                with open(path, "wb") as file:
                    file.write(data)
            except OSError as error:
                self._log.say(f"{path}: {volumes.describe(error)}")

    def _decide(self) -> None:
        """Write the file `env`: variables where kubelet is to read them, else nothing in it."""
        data = b""
        try:
            if self._settings.mode == ENV_FILE:
                data = env_file.encode(self._variables())
        except Exception as error:  # noqa: BLE001 - kubelet wants the file, whatever happens
            self._log.say(f"the server starts plain: {type(error).__name__}: {error}")
        with contextlib.suppress(OSError):  # the server's command may leave this user, and its processes write here
            os.chmod(self._settings.dispatch_directory, 0o1777)  # noqa: S103 - as /tmp, in the pod's own volume
        volumes.replace_file(self._volume, f"{self._settings.home}/{env_file.NAME}", data)

    def _variables(self) -> dict[str, str]:
        made, _ = report.read(self._volume, self._settings.report_file)
        directories = aiter_jit.variables(self._env, self._settings.home)
        found, reason = decision.variables(made, self._env, self._settings.fixed_env, self._settings.home, directories)
        self._log.say(f"the server starts plain: {reason}" if reason else "the server starts with the table")
        if found:
            with contextlib.suppress(OSError):  # the first start finds this; later ones begin anew (`starts`)
                process_reports.begin(self._settings.dispatch_directory, 1)
        return found


def _directory(env: Mapping[str, str]) -> str:
    """Where the server's command line leads, if that is there: a model may be named from there."""
    path = env[builtin.HERE]
    with contextlib.suppress(TooLate, OSError):
        if within(STORE_SECONDS, os.path.isdir, path):
            return path
    return os.getcwd()


def usable(env: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment without the settings that cannot be understood, which then have their defaults; what is wrong."""
    kept, wrong = dict(env), []
    while True:
        try:
            parse_settings(kept)
        except SettingsError as error:
            wrong.append(str(error))
            del kept[str(error).partition(" ")[0].rstrip(":")]
        else:
            return kept, wrong
