"""C++'s std::cout: block-buffered unless it is a terminal, so its order relative to Python's output is open."""

import atexit
import os
import threading

_BLOCK = 4096  # glibc takes st_blksize, 4096 for pipes and for most files


class StandardOutput:
    """Bytes that reach descriptor 1 when a block is full, at a flush and at a normal exit; a signal loses the rest."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._lock = threading.Lock()
        atexit.register(self.flush)

    def write(self, text: str, *, flush: bool = False) -> None:
        """Append ``text``; ``flush`` is std::endl."""
        with self._lock:
            self._pending += text.encode()
            full = len(self._pending) >= _BLOCK or (os.isatty(1) and self._pending.endswith(b"\n"))
        if full or flush:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; a closed or broken standard output loses it, as in C."""
        with self._lock:
            data, self._pending = bytes(self._pending), bytearray()
        while data:
            try:
                data = data[os.write(1, data) :]
            except OSError:
                return


STDOUT = StandardOutput()
