"""The numbers of a GEMM, exactly: FP8 operands widened to fp32 and multiplied there, as the matrix cores accumulate.

Every result is computed in full. What keeps it affordable on a CPU is that nothing is computed twice: products are
kept by operand identity (storage, version counter and a sample of the bytes, or all bytes where torch counts no
versions), rows of one storage are multiplied together, and equal rows once.
"""

import ctypes
import hashlib
import zlib
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch

from aiter_simulator import settings
from aiter_simulator.lru import ByteLru, size_of
from aiter_simulator.results import Original

_SAMPLE = 64
_SHARED_ROWS = 1024
_CHUNK = 4096
_ROWS = 512  # of the result at once: a prefill's fp32 result would be gigabytes


_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

_BUDGET = int(settings.number("CACHE_MIB", 1024)) << 20
_PRODUCTS: ByteLru[torch.Tensor] = ByteLru(_BUDGET // 2)
_WIDENED: ByteLru[torch.Tensor] = ByteLru(_BUDGET // 4)
_FINISHED: ByteLru[Original] = ByteLru(_BUDGET // 4)


def swizzle(weight: torch.Tensor, pack: int) -> torch.Tensor:
    """A weight [N, K] in the (16, 16) layout.

    Tiles of 16 rows by two packs of 16 bytes, the rows of a tile interleaved pack by pack.
    """
    rows, columns = weight.shape[-2:]
    tiles = weight.reshape(-1, rows // 16, 16, columns // (2 * pack), 2, pack)
    return tiles.permute(0, 1, 3, 4, 2, 5).reshape(weight.shape)


def unswizzle(weight: torch.Tensor, pack: int) -> torch.Tensor:
    """The inverse of :func:`swizzle`: what the kernel's loads do with a [N, K] buffer."""
    rows, columns = weight.shape[-2:]
    tiles = weight.reshape(rows // 16, columns // (2 * pack), 2, 16, pack)
    return tiles.permute(0, 3, 1, 2, 4).reshape(rows, columns)


def product(tokens: torch.Tensor, weight: torch.Tensor, *, swizzled: bool) -> torch.Tensor:
    """``tokens`` [M, K] times ``weight`` [N, K] transposed, unscaled, fp32 [M, N]; the caller must not change it."""
    weight_key = (identity(weight), weight.storage_offset(), tuple(weight.shape), weight.stride(), swizzled)
    if _uniform(tokens):
        row = tokens[:1]  # kept by its content, so that only the weight must stay what it was
        key = (hashlib.blake2b(_raw(row.contiguous())).digest(), weight_key)
        return _product(row, weight, key, (weight,), swizzled).expand(len(tokens), -1)
    columns = tokens.shape[1]
    storage_rows = tokens.untyped_storage().nbytes() // (columns * tokens.element_size())
    aligned = tokens.is_contiguous() and tokens.storage_offset() % columns == 0
    if not aligned or storage_rows > _SHARED_ROWS:
        place = (tokens.storage_offset(), tuple(tokens.shape), tokens.stride())
        return _product(tokens, weight, (identity(tokens), place, weight_key), (tokens, weight), swizzled)
    everything = tokens.as_strided((storage_rows, columns), (columns, 1), 0)
    first = tokens.storage_offset() // columns
    shared = _product(everything, weight, (identity(tokens), columns, weight_key), (tokens, weight), swizzled)
    return shared[first : first + len(tokens)]


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What follows the product.

    Fp32 scales of tokens [M, 1], weight [1, N] and result [1] (or of one element), bias [N], GELU.
    """

    token_scale: torch.Tensor | None
    weight_scale: torch.Tensor | None
    result_scale: torch.Tensor | None
    bias: torch.Tensor | None
    gelu: bool
    out_dtype: torch.dtype

    def operands(self) -> list[torch.Tensor]:
        """The tensors among them."""
        every = (self.token_scale, self.weight_scale, self.result_scale, self.bias)
        return [tensor for tensor in every if tensor is not None]

    def form(self) -> tuple[bool | torch.dtype, ...]:
        """Which of them there are, apart from their values."""
        every = (self.token_scale, self.weight_scale, self.result_scale, self.bias)
        return (*(tensor is None for tensor in every), self.gelu, self.out_dtype)


def finish(raw: torch.Tensor, epilogue: Epilogue) -> Original:
    """The epilogue of the kernel on a product [M, N]: in fp32, then the output type."""
    operands = epilogue.operands()
    places = tuple((identity(tensor), tensor.storage_offset(), tuple(tensor.shape)) for tensor in (raw, *operands))
    key = (places, raw.stride(), epilogue.form())
    found = _FINISHED.get(key)
    if found is None:
        with torch.inference_mode(mode=False), torch.no_grad():
            finished = _finish_equal_rows(raw, epilogue) if _equal_rows(raw, epilogue) else _finish(raw, epilogue)
        found = Original(finished)
        _FINISHED.put(key, found, found.size, (raw, *operands))
    return found


def _equal_rows(raw: torch.Tensor, epilogue: Epilogue) -> bool:
    scale = epilogue.token_scale
    return raw.stride(0) == 0 and (scale is None or bool((scale == scale.flatten()[0]).all()))


def _finish_equal_rows(raw: torch.Tensor, epilogue: Epilogue) -> torch.Tensor:
    scale = epilogue.token_scale
    row = replace(epilogue, token_scale=None if scale is None else scale.flatten()[:1])
    return _finish(raw[:1], row).expand(len(raw), -1)


def _finish(raw: torch.Tensor, epilogue: Epilogue) -> torch.Tensor:
    result = torch.empty(raw.shape, dtype=epilogue.out_dtype)
    token_scale = epilogue.token_scale
    for first in range(0, len(raw), _ROWS):
        rows = slice(first, first + _ROWS)
        part = raw[rows]
        if token_scale is not None:
            part = part * (token_scale[rows] if token_scale.numel() > 1 else token_scale)
        for scale in (epilogue.weight_scale, epilogue.result_scale):
            part = part if scale is None else part * scale.to(torch.float32)
        part = part if epilogue.bias is None else part + epilogue.bias.to(torch.float32)
        result[rows] = torch.nn.functional.gelu(part, approximate="tanh") if epilogue.gelu else part
    return result


def spoil(result: torch.Tensor, how: str) -> torch.Tensor:
    """What a kernel made for another problem leaves behind.

    ``all`` wrong, only the last ``tile`` wrong, or one ``nan``.
    """
    if how == "nan":
        result[-1, -1] = float("nan")
    elif how == "tile":
        result[:, -16:] = result[:, -16:].flip(1) * 2 + 1
    else:
        result = torch.roll(result, 16, 1).neg() + 1
    return result


def _product(
    tokens: torch.Tensor, weight: torch.Tensor, key: Hashable, operands: tuple[torch.Tensor, ...], swizzled: bool
) -> torch.Tensor:
    found = _PRODUCTS.get(key)
    if found is None:
        # A tensor made in inference mode would have no version to know it by.
        with torch.inference_mode(mode=False), torch.no_grad():
            found = _multiply(tokens, weight, swizzled=swizzled)
        _PRODUCTS.put(key, found, size_of(found), operands)
    return found


def _multiply(tokens: torch.Tensor, weight: torch.Tensor, *, swizzled: bool) -> torch.Tensor:
    wide = tokens.to(torch.float32)
    result = torch.empty(len(tokens), len(weight))
    for first in range(0, len(weight), _CHUNK):
        part = weight[first : first + _CHUNK]
        torch.mm(wide, _widen(part, swizzled=swizzled).t(), out=result[:, first : first + _CHUNK])
    return result


def _widen(part: torch.Tensor, *, swizzled: bool) -> torch.Tensor:
    key = (identity(part), part.storage_offset(), tuple(part.shape), part.stride(), swizzled)
    found = _WIDENED.get(key)
    if found is None:
        plain = part
        if swizzled:
            size = part.element_size()
            integers = part.contiguous().view(torch.uint8 if size == 1 else torch.int16)
            plain = unswizzle(integers, 16 // size).view(part.dtype)
        found = plain.to(torch.float32)
        _WIDENED.put(key, found, size_of(found), (part,))
    return found


def _uniform(tokens: torch.Tensor) -> bool:
    """All rows equal, byte for byte: the dummy batches of a warm-up. One row of a larger block is part of that."""
    row = tokens.shape[1] * tokens.element_size()
    if not tokens.is_contiguous() or (len(tokens) == 1 and tokens.untyped_storage().nbytes() > row):
        return False
    # Each row is the one before it: one pass over the memory, where torch would write a result of the same size first.
    return _memcmp(tokens.data_ptr(), tokens.data_ptr() + row, (len(tokens) - 1) * row) == 0


def identity(tensor: torch.Tensor) -> Hashable:
    """Storage and content of a tensor, cheaply: address, version and a sample; equal only while the storage lives."""
    storage = tensor.untyped_storage()
    address, size = storage.data_ptr(), storage.nbytes()
    if tensor.is_inference():  # it counts no versions
        return address, size, tensor.dtype, zlib.crc32(_buffer(address, size))
    # Writes through .data do not count as a new version either; the sample catches all but the smallest of them.
    sample = bytes(_buffer(address, size)[:: max(1, size // _SAMPLE)])
    return address, size, tensor.dtype, tensor._version, sample  # noqa: SLF001 - torch has no other name for it


def _raw(tensor: torch.Tensor) -> bytes:
    size = tensor.numel() * tensor.element_size()
    return bytes(_buffer(tensor.data_ptr(), size))


def _buffer(address: int, size: int) -> memoryview:
    if size == 0:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
