"""Following the served file, read-only, while AITER appends to it.

Only complete lines are ever read. The file may be replaced (repair), put aside, or vanish: then it is read again from
its beginning, and rows that are known already are not news.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.rows import aiter_csv

if TYPE_CHECKING:
    from hipbmm_kernel.rows.gemm import Row
    from hipbmm_kernel.system.volume import Volume

CHUNK = 4 << 20
"""Bytes that are looked at in one turn; more waits for the next one, so that memory stays small."""
ROW_LIMIT = 65_536


class News(NamedTuple):
    """Rows that were appended, reasons of lines that are no rows, and whether more is waiting."""

    rows: tuple[Row, ...]
    rejected: tuple[str, ...]
    more: bool


NOTHING = News((), (), False)


class Cursor(NamedTuple):
    """A place in a file: which file it was, and how many of its bytes were read."""

    device: int = 0
    inode: int = 0
    offset: int = 0


class Tail:
    """Remembers how far one file has been read; `cursor` says how far."""

    def __init__(self, volume: Volume, path: str, cursor: Cursor) -> None:
        self._volume = volume
        self._path = path
        self.cursor = cursor

    def read(self) -> News:
        """What is new since the last call. A file that is not there, or that cannot be read, has no news."""
        try:
            fd = self._volume.open(self._path)
        except OSError:
            return NOTHING
        try:
            return self._read(fd)
        except OSError:
            return NOTHING
        finally:
            self._volume.close(fd)

    def _read(self, fd: int) -> News:
        status = self._volume.stat(fd)
        if not stat.S_ISREG(status.st_mode):
            return NOTHING
        cursor = Cursor(status.st_dev, status.st_ino, self.cursor.offset)
        if cursor != self.cursor or status.st_size < cursor.offset:
            cursor = cursor._replace(offset=0)
        self.cursor = cursor
        if status.st_size == cursor.offset:
            return NOTHING
        data = self._volume.read_at(fd, CHUNK, cursor.offset)
        end = data.rfind(b"\n") + 1
        if end == 0:
            if len(data) < CHUNK:
                return NOTHING
            end = len(data)  # a line longer than any row: step over it
        self.cursor = cursor._replace(offset=cursor.offset + end)
        parsed = aiter_csv.parse(data[:end], ROW_LIMIT)
        rejected = [finding.reason for finding in parsed.rejected]
        if parsed.refused is not None:
            rejected.append(parsed.refused)
        return News(parsed.accepted, tuple(rejected), self.cursor.offset < status.st_size)
