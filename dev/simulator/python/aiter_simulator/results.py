"""Copies of a result that cost nothing until somebody writes to them.

A timing loop asks for the same result again and again and looks at none of them. Each call still gets memory of its
own: a private mapping of one shared file in memory, whose pages are copied when they are written to.
"""

import ctypes
import mmap
import os

import torch

_FILE = 4 << 20
"""Bytes from which on a result is a file: each takes a descriptor, of which a process has few."""
_SMALL = 1 << 16
"""Bytes below which a copy is cheaper than a mapping. It is made by memmove, which shares it among no
threads."""


class Original:
    """A result [M, N] of which copies are handed out, once ``rows`` has been filled in."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._row_bytes = shape[1] * dtype.itemsize
        self._dtype = dtype
        self._columns = shape[1]
        self.size = shape[0] * self._row_bytes
        self._file = -1
        if self.size < _FILE:
            self.rows = torch.empty(shape, dtype=dtype)
            return
        self._file = os.memfd_create("hipbmm-simulator-result")
        os.ftruncate(self._file, self.size)
        whole = mmap.mmap(self._file, self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self.rows = torch.frombuffer(whole, dtype=dtype).view(shape)

    def copy(self, first: int, count: int) -> torch.Tensor:
        """A tensor [count, N] with the values of rows from ``first`` on, and memory of its own."""
        size = count * self._row_bytes
        if size < _SMALL or self._file < 0:
            made = torch.empty((count, self._columns), dtype=self._dtype)
            ctypes.memmove(made.data_ptr(), self.rows.data_ptr() + first * self._row_bytes, size)
            return made
        # A mapping begins at a page.
        before = first * self._row_bytes % mmap.ALLOCATIONGRANULARITY
        mapping = mmap.mmap(
            self._file,
            before + size,
            flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
            offset=first * self._row_bytes - before,
        )
        values = torch.frombuffer(mapping, dtype=self._dtype, offset=before, count=count * self._columns)
        return values.view(count, self._columns)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)
