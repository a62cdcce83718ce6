"""What follows the product in the kernel: scales, bias and GELU in fp32, then the output type.

A row of the result depends on its own row of the product only. So a block of tokens is finished as a whole, once, and
calls with fewer of its rows take theirs from it.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from aiter_simulator import numerics
from aiter_simulator.identity import identity
from aiter_simulator.lru import ByteLru
from aiter_simulator.results import Original

if TYPE_CHECKING:
    from collections.abc import Hashable

_PART_ELEMENTS = 1 << 20
"""Elements that are finished at once: their fp32 values stay in a cache and in memory that is used again."""
_FINISHED: ByteLru[Original] = ByteLru(numerics.BUDGET // 4)


@dataclass(frozen=True, slots=True)
class Epilogue:
    """Fp32 scales of tokens [M, 1], weight [1, N] and result [1] (or of one element), bias [N], GELU."""

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


@dataclass(frozen=True, slots=True)
class Finished:
    """Rows `first` to `first + count` of a result."""

    original: Original
    first: int
    count: int

    def copy(self) -> torch.Tensor:
        """A tensor [count, N] in memory of its own."""
        return self.original.copy(self.first, self.count)


def finish(product: numerics.Product, epilogue: Epilogue) -> Finished:
    """The result of a product, in the output type."""
    whole = _whole_scale(product, epilogue.token_scale)
    if whole is not None:
        return Finished(_finished(product.block, replace(epilogue, token_scale=whole)), product.first, product.count)
    raw = product.block[product.first : product.first + product.count]
    return Finished(_finished(raw, epilogue), 0, product.count)


def _whole_scale(product: numerics.Product, scale: torch.Tensor | None) -> torch.Tensor | None:
    """The scales of all rows of the block, if those of the call are the same rows of such a tensor; else None."""
    rows = len(product.block)
    if scale is None or scale.numel() == 1 or product.block.stride(0) == 0:
        return None
    fitting = scale.is_contiguous() and scale.untyped_storage().nbytes() == rows * scale.element_size()
    if not fitting or scale.storage_offset() != product.first:
        return None
    return scale.as_strided((rows, 1), (1, 1), 0)


def _finished(raw: torch.Tensor, epilogue: Epilogue) -> Original:
    operands = epilogue.operands()
    places: Hashable = tuple(
        (identity(tensor), tensor.storage_offset(), tuple(tensor.shape)) for tensor in (raw, *operands)
    )
    key = (places, raw.stride(), epilogue.form())
    found = _FINISHED.get(key)
    if found is None:
        with torch.inference_mode(mode=False), torch.no_grad():
            found = Original(tuple(raw.shape), epilogue.out_dtype)
            if _equal_rows(raw, epilogue):
                found.rows[:] = _one_row(raw, epilogue)
            else:
                _fill(found.rows, raw, epilogue)
        _FINISHED.put(key, found, found.size, (raw, *operands))
    return found


def _equal_rows(raw: torch.Tensor, epilogue: Epilogue) -> bool:
    scale = epilogue.token_scale
    return raw.stride(0) == 0 and (scale is None or bool((scale == scale.flatten()[0]).all()))


def _one_row(raw: torch.Tensor, epilogue: Epilogue) -> torch.Tensor:
    scale = epilogue.token_scale
    row = torch.empty((1, raw.shape[1]), dtype=epilogue.out_dtype)
    _fill(row, raw[:1], replace(epilogue, token_scale=None if scale is None else scale.flatten()[:1]))
    return row


def _fill(result: torch.Tensor, raw: torch.Tensor, epilogue: Epilogue) -> None:
    token_scale, step = epilogue.token_scale, max(1, _PART_ELEMENTS // max(1, raw.shape[1]))
    for first in range(0, len(raw), step):
        rows = slice(first, first + step)
        part = raw[rows]
        if token_scale is not None:
            part = part * (token_scale[rows] if token_scale.numel() > 1 else token_scale)
        for scale in (epilogue.weight_scale, epilogue.result_scale):
            part = part if scale is None else part * scale.to(torch.float32)
        part = part if epilogue.bias is None else part + epilogue.bias.to(torch.float32)
        result[rows] = torch.nn.functional.gelu(part, approximate="tanh") if epilogue.gelu else part


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
