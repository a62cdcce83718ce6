"""Keeps an instance's components running: `python -m localkube.supervisor SPEC`.

It waits for the line `go` on standard input (the network namespace is being furnished from outside meanwhile), runs
the setup commands, starts the components and restarts those that end. When it dies, they die: by the parent-death
signal, and in the node profile because it is the first process of a pid namespace. SIGTERM stops all, last first.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localkube.component import Component

INSTANCE_VARIABLE = "HIPBMM_LOCALKUBE_INSTANCE"
COMPONENT_VARIABLE = "HIPBMM_LOCALKUBE_COMPONENT"

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 8.0
_LONGEST_WAIT = 15.0
_STEADY_SECONDS = 60.0


@dataclass(frozen=True)
class Spec:
    """What to run: setup commands in order, then the components. `instance` marks every process."""

    instance: str
    logs: str
    setup: list[list[str]]
    components: list[Component]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "Spec":
        """Read what `save` wrote."""
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        components = [Component(item["name"], tuple(item["argv"]), item["env"]) for item in value["components"]]
        return Spec(value["instance"], value["logs"], value["setup"], components)


def restart_delay(quick_ends: int) -> float:
    """Seconds before a component that ended early `quick_ends` times in a row is started again."""
    return float(min(0.5 * 2 ** max(quick_ends - 1, 0), _LONGEST_WAIT))


@dataclass
class _Child:
    component: Component
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    quick_ends: int = 0


class Supervisor:
    """The loop. One thread: children get their parent-death signal from the thread that forks them."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._children = [_Child(component) for component in spec.components]
        self._libc = ctypes.CDLL(None, use_errno=True)

    def run(self) -> None:
        """Return when told to stop."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for command in self._spec.setup:
            self._log(f"setup: {' '.join(command)}")
            # A setup command inherits the blocked signals; none of these programs cares.
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        while True:
            self._start_due()
            received = signal.sigtimedwait(_SIGNALS, self._seconds_to_next())
            if received is not None and received.si_signo in {signal.SIGTERM, signal.SIGINT}:
                break
            self._reap()
        self._stop_all()

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.due <= now:
                self._start(child, now)

    def _seconds_to_next(self) -> float:
        now = time.monotonic()
        waits = [child.due - now for child in self._children if child.process is None]
        # The upper bound makes a lost SIGCHLD (several ends merge into one signal) harmless.
        return max(min([5.0, *waits]), 0.01)

    def _start(self, child: _Child, now: float) -> None:
        component = child.component
        env = {**os.environ, **component.env, COMPONENT_VARIABLE: component.name}
        with (Path(self._spec.logs) / f"{component.name}.log").open("ab") as log:
            child.process = subprocess.Popen(
                component.argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare_child,  # noqa: PLW1509 - this process has one thread
            )
        child.started = now
        self._log(f"started {component.name} as {child.process.pid}")

    def _prepare_child(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _reap(self) -> None:
        """Collect every ended process; as pid 1 also the orphans of containers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.process is not None and child.process.pid == pid:
                    child.process.returncode = os.waitstatus_to_exitcode(status)
                    self._ended(child)

    def _ended(self, child: _Child) -> None:
        now = time.monotonic()
        code = child.process.returncode if child.process else None
        child.process = None
        child.quick_ends = child.quick_ends + 1 if now - child.started < _STEADY_SECONDS else 1
        child.due = now + restart_delay(child.quick_ends)
        self._log(f"{child.component.name} ended with {code}; starting it again in {child.due - now:.1f} s")

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            self._stop(child)

    def _stop(self, child: _Child) -> None:
        process = child.process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._log(f"stopped {child.component.name}")

    @staticmethod
    def _log(text: str) -> None:
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Wait for `go`, then supervise; end of input means that the starter gave up."""
    spec = Spec.load(Path(arguments[0]))
    if sys.stdin.readline().strip() != "go":
        return 1
    Supervisor(spec).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
