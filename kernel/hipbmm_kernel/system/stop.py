"""A request to stop, by SIGTERM or SIGINT: seen at once by whatever waits, and by the next check of whatever works."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self  # Python 3.11, and only for the type checker

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Handles the signals while it is entered; `fileno()` becomes readable when one came."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before: dict[signal.Signals, object] = {}
        self.requested = False

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() returned
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """A descriptor to wait for."""
        return self._read

    def wait(self, seconds: float) -> None:
        """Wait, until a stop is requested."""
        select.select([self._read], [], [], seconds)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            return  # it is readable already
