"""Following the file that AITER appends to, read-only: the served one, and that of a child of the tuner.

Only complete lines are ever read. The file may be replaced (repair), put aside, vanish, or be cut and grow again: when
the bytes before the place that was reached are not those that were read, it is read again from its beginning. Rows that
come twice that way are one row in the store.
"""

import stat
from typing import NamedTuple

from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.system import digest
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

CHUNK = 1 << 18
"""Bytes that are looked at in one turn: a tenth of a second also where each line is to be diagnosed. More waits for the
next turn, so that probes are answered and memory stays small."""
LONGEST = aiter_csv.MAX_LINE + 1
"""Bytes of a line that is waited for: rows that lost their line ends are one."""
WINDOW = 1024
"""Bytes before a place by which it is known again: about two rows with their kernel names."""


class Appended(NamedTuple):
    """Rows that were appended, reasons of lines that are no rows, and whether more is waiting."""

    rows: tuple[Row, ...] = ()
    rejected: tuple[str, ...] = ()
    more: bool = False


class Cursor(NamedTuple):
    """A place in a file: which file it was, how many of its bytes were read, and the digest of the last of them."""

    device: int = 0
    inode: int = 0
    offset: int = 0
    before: str = ""


class Tail:
    """Remembers how far one file has been read; `cursor` says how far."""

    def __init__(self, volume: Volume, path: str, cursor: Cursor) -> None:
        self._volume = volume
        self._path = path
        self.cursor = cursor

    def read(self) -> Appended:
        """What was appended since the last call; nothing of a file that is not there or cannot be read."""
        try:
            with volumes.closing(self._volume, self._volume.open(self._path)) as fd:
                reached, appended = self._read(fd)
        except OSError:
            return Appended()  # also where it could not be closed: the place stays, and the same lines come again
        self.cursor = reached
        return appended

    def _read(self, fd: int) -> tuple[Cursor, Appended]:
        """The place behind what was read, and what that was."""
        status = self._volume.stat(fd)
        if not stat.S_ISREG(status.st_mode):
            return self.cursor, Appended()
        reached, offset = self.cursor, self.cursor.offset
        if reached != Cursor(status.st_dev, status.st_ino, offset, self._before(fd, offset)):
            offset = 0
            reached = Cursor(status.st_dev, status.st_ino, 0, self._before(fd, 0))
        data = self._volume.read_at(fd, CHUNK, offset)
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == CHUNK:
            data = self._volume.read_at(fd, LONGEST, offset)
            end = data.find(b"\n") + 1
        if end == 0:
            if len(data) < LONGEST:
                return reached, Appended()
            end = len(data)  # a line longer than any that may hold rows: step over it
        reached = reached._replace(offset=offset + end, before=self._before(fd, offset + end))
        parsed = aiter_csv.parse_lines(data[:end])
        rejected = tuple(finding.reason for finding in parsed.rejected)
        return reached, Appended(parsed.accepted, rejected, reached.offset < status.st_size)

    def _before(self, fd: int, offset: int) -> str:
        """The digest of the bytes before a place; of fewer when the file does not reach so far any more."""
        start = max(0, offset - WINDOW)
        return digest.sha256(self._volume.read_at(fd, offset - start, start))
