"""A crew of scripted children: what they do is a few lines of Python, and everything that the crew says is kept."""

import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kernel.pods import ROOT

from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.memory import OomKills
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.crew import Abort, Crew, Handlers, Outcome, Task
from hipbmm_kernel.tune.worker import Failure

SCRIPT = """
import json, os, signal, sys, time
root, parent, commands, events = sys.argv[1:5]
commands, events = int(commands), int(events)
def say(**message):
    os.write(events, json.dumps(message).encode() + b"\\n")
def once(name):
    path = os.path.join(os.environ["STATE"], name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
{start}
say(event="hello", gpu=os.environ["HIP_VISIBLE_DEVICES"], online=os.environ.get("HIP_ONLINE_TUNING"))
say(event="ready", libraries=[])
while data := os.read(commands, 65536):
    for line in data.splitlines():
        command = json.loads(line)
        do = command["do"]
        {task}
        say(event="done", gpu=os.environ["HIP_VISIBLE_DEVICES"])
"""


class Scene:
    """A crew of scripted children, and what its handlers received."""

    def __init__(self, root: Path, stop: Stop) -> None:
        self._others = _children()
        self.root = root
        self.stop = stop
        self.outcomes: list[Outcome] = []
        self.hellos: list[Mapping[str, object]] = []
        self.abort: Abort | None = None
        self.last_failure = Failure("", "")
        self.started = 0
        self.python = sys.executable
        self.running: Crew | None = None

    def run(
        self,
        tasks: list[str],
        task: str = "pass",
        start: str = "pass",
        gpus: tuple[str, ...] = ("0",),
        seconds: float = 30.0,
        deadline: Callable[[], float] = lambda: float("inf"),
        on_outcome: Callable[[Outcome], list[Task]] | None = None,
        tick: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> list[Task]:
        (self.root / "state").mkdir(exist_ok=True)
        program = SCRIPT.format(task=textwrap.indent(textwrap.dedent(task), " " * 8).strip(), start=start)
        handlers = Handlers(self._started, on_outcome or self._retry, self._event, tick)
        env = {"PATH": os.environ["PATH"], "STATE": str(self.root / "state")}
        kills = OomKills(str(self.root / "state"))
        command = [self.python, "-c", program, str(ROOT / "kernel")]
        with Crew(
            gpus, str(self.root / "tune"), env, clock or Clock(), self.stop, handlers, [command], kills
        ) as running:
            self.running = running
            try:
                # Only what hangs may take so long: a machine that pauses for a while ends no other task.
                limits = {name: seconds if name == "bad" else 120.0 for name in tasks}
                todo = [Task(name, {"do": name}, limits[name]) for name in tasks]
                return running.run(todo, deadline)
            finally:
                self.last_failure = running.last_failure
                self.started = running.started

    def survivors(self) -> set[int]:
        """Children that were not there before, zombies included: other tests' fixtures have processes of their own."""
        return _children() - self._others

    def kinds(self) -> dict[object, list[str]]:
        found: dict[object, list[str]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.task.subject, []).append(outcome.kind)
        return found

    def _retry(self, outcome: Outcome) -> list[Task]:
        """A task that ended its child is tried once more."""
        self.outcomes.append(outcome)
        again = outcome.kind in crew.DEATHS and len(self.kinds()[outcome.task.subject]) < 2
        return [outcome.task] if again else []

    def _started(self, message: Mapping[str, object]) -> None:
        if message["event"] == protocol.HELLO:
            self.hellos.append(message)

    def _event(self, _task: Task, _message: Mapping[str, object]) -> None:
        return None


def _children() -> set[int]:
    """Processes whose parent is this one, zombies included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid():
            found.add(int(stat.parent.name))
    return found
