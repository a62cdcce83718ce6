"""Progress for people, on standard error; standard output carries results only."""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO


class Console:
    """Writes whole lines, and one line that is redrawn on a terminal with what each thread is at.

    Where there is no terminal (a CI log) each thread's state is written at most every `interval` seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        interval: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[int, str] = {}
        self._written: dict[int, float] = {}
        self._shown = ""

    def line(self, text: str) -> None:
        """Write one line that stays; what this thread was at is over."""
        with self._lock:
            self._states.pop(threading.get_ident(), None)
            self._erase()
            self._stream.write(f"{text}\n")
            self._redraw()
            self._stream.flush()

    def moving(self, text: str) -> None:
        """Show what this thread is at."""
        me = threading.get_ident()
        with self._lock:
            self._states[me] = text
            if self._stream.isatty():
                self._erase()
                self._redraw()
            elif self._clock() - self._written.get(me, 0.0) >= self._interval:
                self._written[me] = self._clock()
                self._stream.write(f"{text}\n")
            self._stream.flush()

    def _redraw(self) -> None:
        if self._states and self._stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            self._shown = " | ".join(self._states.values())[:width]
            self._stream.write(self._shown)

    def _erase(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""


def elapsed(seconds: float) -> str:
    """`75.4` -> `1m15s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
