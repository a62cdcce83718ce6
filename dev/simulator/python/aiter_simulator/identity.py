"""Which tensor it is and what it holds, cheaply: the keys of the simulator's memory."""

import ctypes
import zlib
from collections.abc import Hashable

import torch

_SAMPLE = 64


def identity(tensor: torch.Tensor) -> Hashable:
    """Storage and content of a tensor: address, version and a sample; equal only while the storage lives."""
    storage = tensor.untyped_storage()
    address, size = storage.data_ptr(), storage.nbytes()
    if tensor.is_inference():  # it counts no versions
        return address, size, tensor.dtype, zlib.crc32(buffer(address, size))
    # Writes through .data do not count as a new version either; the sample catches all but the smallest of them.
    sample = bytes(buffer(address, size)[:: max(1, size // _SAMPLE)])
    return address, size, tensor.dtype, tensor._version, sample  # noqa: SLF001 - torch has no other name for it


def content(tensor: torch.Tensor) -> bytes:
    """The bytes of a contiguous tensor's elements."""
    return bytes(buffer(tensor.data_ptr(), tensor.numel() * tensor.element_size()))


def buffer(address: int, size: int) -> memoryview:
    """Memory as bytes, without a copy."""
    if size == 0:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
