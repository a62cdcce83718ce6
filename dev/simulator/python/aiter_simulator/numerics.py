"""The numbers of a GEMM, exactly: FP8 operands widened to fp32 and multiplied there, as the matrix cores accumulate.

Every result is computed in full. What keeps it affordable on a CPU is that nothing is computed twice: products are
kept by operand identity (storage, version counter and a sample of the bytes, or all bytes where torch counts no
versions), rows of one storage are multiplied together, and equal rows once.
"""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

import torch

from aiter_simulator import settings
from aiter_simulator.identity import content, equal_bytes, identity, same
from aiter_simulator.lru import ByteLru, size_of

_SHARED_ROWS = 1024
_PART_BYTES = 64 << 20
"""Of a weight that are widened to fp32 at once: threads meet after each part, which takes long where cores are few."""

BUDGET = int(settings.number("CACHE_MIB", 1024)) << 20
_PRODUCTS: ByteLru[torch.Tensor] = ByteLru(BUDGET // 2)
_WIDENED: ByteLru[torch.Tensor] = ByteLru(BUDGET // 4)
_WHOLE_BYTES = BUDGET // 8
"""Widened weights beyond it are not kept: they would push each other out before they are asked for again."""


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


@dataclass(frozen=True, slots=True)
class Product:
    """Rows ``first`` to ``first + count`` of an unscaled fp32 product ``block`` [rows, N], which nobody may change."""

    block: torch.Tensor
    first: int
    count: int


def product(tokens: torch.Tensor, weight: torch.Tensor, *, swizzled: bool) -> Product:
    """``tokens`` [M, K] times ``weight`` [N, K] transposed, as part of the product of all tokens of their storage."""
    weight_key = (same(weight), weight.storage_offset(), tuple(weight.shape), weight.stride(), swizzled)
    count = len(tokens)
    if _uniform(tokens):
        row = tokens[:1]  # kept by its content, so that only the weight must stay what it was
        key = (hashlib.blake2b(content(row.contiguous())).digest(), weight_key)
        return Product(_product(row, weight, key, (weight,), swizzled).expand(count, -1), 0, count)
    columns = tokens.shape[1]
    storage_rows = tokens.untyped_storage().nbytes() // (columns * tokens.element_size())
    aligned = tokens.is_contiguous() and tokens.storage_offset() % columns == 0
    if not aligned or storage_rows > _SHARED_ROWS:
        place = (tokens.storage_offset(), tuple(tokens.shape), tokens.stride())
        alone = _product(tokens, weight, (identity(tokens), place, weight_key), (tokens, weight), swizzled)
        return Product(alone, 0, count)
    everything = tokens.as_strided((storage_rows, columns), (columns, 1), 0)
    shared = _product(everything, weight, (identity(tokens), columns, weight_key), (tokens, weight), swizzled)
    return Product(shared, tokens.storage_offset() // columns, count)


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
    result = torch.empty(len(tokens), len(weight), dtype=torch.float32)
    keep = weight.numel() * 4 <= _WHOLE_BYTES
    step = max(16, _PART_BYTES // (4 * weight.shape[1]) // 16 * 16)  # whole tiles of the swizzled layout
    # One buffer for all parts: fresh pages for each would cost more than the product.
    room = None if keep else torch.empty(min(step, len(weight)), weight.shape[1], dtype=torch.float32)
    for first in range(0, len(weight), step):
        part = weight[first : first + step]
        if room is None:
            values = _widened(part, swizzled=swizzled)
        else:
            values = room[: len(part)].copy_(_plain(part, swizzled=swizzled))
        torch.mm(wide, values.t(), out=result[:, first : first + step])
    return result


def _widened(part: torch.Tensor, *, swizzled: bool) -> torch.Tensor:
    """A part of a weight in fp32, remembered."""
    key = (identity(part), part.storage_offset(), tuple(part.shape), part.stride(), swizzled)
    found = _WIDENED.get(key)
    if found is None:
        found = _plain(part, swizzled=swizzled).to(torch.float32)
        _WIDENED.put(key, found, size_of(found), (part,))
    return found


def _plain(part: torch.Tensor, *, swizzled: bool) -> torch.Tensor:
    """A part of a weight in the order of its rows and columns."""
    if not swizzled:
        return part
    size = part.element_size()
    integers = part.contiguous().view(torch.uint8 if size == 1 else torch.int16)
    return unswizzle(integers, 16 // size).view(part.dtype)


def _uniform(tokens: torch.Tensor) -> bool:
    """All rows equal, byte for byte, as in the dummy batches of a warm-up; one row of a larger block is part of it."""
    row = tokens.shape[1] * tokens.element_size()
    if not tokens.is_contiguous() or (len(tokens) == 1 and tokens.untyped_storage().nbytes() > row):
        return False
    # Each row is the one before it: one pass over the memory, where torch would write a result of the same size first.
    return equal_bytes(tokens.data_ptr(), tokens.data_ptr() + row, (len(tokens) - 1) * row)
