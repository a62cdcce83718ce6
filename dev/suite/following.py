"""Waiting for a process that writes to a log, with a line now and then that shows that it is alive."""

import subprocess
import sys
import threading
import time
from pathlib import Path

_SECONDS = 15
_WIDTH = 100
_SPEAKING = threading.Lock()


def say(text: str) -> None:
    """A line, or several in one piece, for the person who watches; from any thread."""
    with _SPEAKING:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def follow(process: subprocess.Popen[bytes], label: str, log: Path) -> int:
    """Wait for `process`, its exit code; each 15 s say how long it has taken so far, and the last line of its log."""
    started = time.monotonic()
    while True:
        try:
            return process.wait(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"... {label}: {time.monotonic() - started:4.0f} s  {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").replace("\r", "\n").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")[:_WIDTH]
