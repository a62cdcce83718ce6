"""Builds that run in the background while the first stages do."""

import subprocess
from pathlib import Path

from suite.following import follow, say


class Builds:
    """Starts every build at once and lets a stage wait for the one it needs.

    They overlap well: one compiles (Go), one waits for the network (an environment), one unpacks packages (images).
    """

    def __init__(self, commands: dict[str, tuple[str, ...]], out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out = out
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in commands.items():
            with self._log(name).open("wb") as log:
                self._processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, name: str) -> int:
        """Wait for one build and show that it is alive; its exit code."""
        code = follow(self._processes[name], f"build {name}", self._log(name))
        if code:
            say(f"build {name} failed ({code}); the end of {self._log(name)}:\n{self._tail(name)}")
        return code

    def stop(self) -> None:
        """End what is still running; only processes started here."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _log(self, name: str) -> Path:
        return self._out / f"build-{name}.log"

    def _tail(self, name: str) -> str:
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-40:])
