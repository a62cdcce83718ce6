"""Progress for people, on standard error; standard output carries results only."""

import sys
import threading
import time
from typing import TextIO


class Console:
    """Writes whole lines, and one line that is redrawn on a terminal.

    Where there is no terminal (a CI log) the moving line is written at most every `interval` seconds.
    Safe to share between threads.
    """

    def __init__(self, stream: TextIO | None = None, interval: float = 15.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interval = interval
        self._lock = threading.Lock()
        self._moving = ""
        self._last = 0.0

    def line(self, text: str) -> None:
        """Write one line that stays."""
        with self._lock:
            self._erase()
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def moving(self, text: str) -> None:
        """Show the current state of something that takes long."""
        now = time.monotonic()
        with self._lock:
            tty = self._stream.isatty()
            if now - self._last < (0.2 if tty else self._interval):
                return
            self._last = now
            self._erase()
            self._stream.write(text[:118] if tty else f"{text}\n")
            self._stream.flush()
            self._moving = text[:118] if tty else ""

    def _erase(self) -> None:
        if self._moving:
            self._stream.write("\r" + " " * len(self._moving) + "\r")
            self._moving = ""


def elapsed(seconds: float) -> str:
    """`75.4` -> `1m15s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
