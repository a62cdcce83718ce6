"""Builds that run in the background while the first stages do."""

import subprocess
import sys
import time
from pathlib import Path


class Builds:
    """Starts every build at once and lets a stage wait for the one it needs.

    They overlap well: one compiles (Go), one waits for the network (an environment), one unpacks packages (images).
    """

    def __init__(self, commands: dict[str, tuple[str, ...]], out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out = out
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in commands.items():
            log = (out / f"build-{name}.log").open("wb")
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, name: str) -> int:
        """Wait for one build, with a line each 15 s that shows the last line of its log; its exit code."""
        process = self._processes[name]
        started = time.monotonic()
        while True:
            try:
                code = process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._say(f"... build {name}: {time.monotonic() - started:4.0f} s  {self._last_line(name)}")
            else:
                if code:
                    self._say(f"build {name} failed ({code}); the end of {self._log(name)}:\n{self._tail(name)}")
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

    def _last_line(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").replace("\r", "\n").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")[:100]

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
