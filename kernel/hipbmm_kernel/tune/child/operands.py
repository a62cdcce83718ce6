"""Operands of one linear on the device, made once per child: shuffled weight, activations for every M, fp32 reference.

All M of a linear share one block of activations and take its first rows: the reference of the whole block then serves
every M, and each element of each result is compared, not a sample.
"""

import copy
import functools

import torch

from hipbmm_kernel.linear import quantise
from hipbmm_kernel.linear.op import HEURISTIC, hipb_mm_fp8, shuffle, transpose_scale
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.tune.child.comparison import Reference
from hipbmm_kernel.tune.child.device import Device

SEED = 20_260_605
BASE_ROWS = 512
"""Rows of a weight that are drawn; the others repeat their codes, shifted, with scales of their own, which is as
telling for a GEMM and saves minutes where random numbers are slow."""
SHIFT = 32
"""Columns by which each further block of rows is shifted: a tile read from another place is another tile."""
WIDE_BYTES = 64 << 20
"""Of a weight that are widened at once for the reference, in a buffer that is used again."""


class Operands:
    """The operands of one linear for up to `rows` tokens."""

    def __init__(self, device: Device, linear: Linear, rows: int) -> None:
        self.linear = linear
        self.rows = rows
        generator = torch.Generator(device.torch_device).manual_seed(SEED + linear.n * 31 + linear.k)
        self._weight, scale = _weight(device, linear, generator)
        self._weight_scale = scale
        self.copies = [shuffle(self._weight)]
        self.weight_scale = transpose_scale(scale)
        x = torch.randn(rows, linear.k, generator=generator, device=device.torch_device)
        self._x, self._x_scale = quantise.per_token(x, device.fp8)
        bias = torch.randn(linear.n, generator=generator, device=device.torch_device)
        self._bias = (bias * linear.k**0.5).to(torch.bfloat16)  # as large as a sum of K products, so that it counts
        self.bias = self._bias if linear.bias else None

    def tokens(self, m: int) -> tuple[torch.Tensor, torch.Tensor]:
        """FP8 activations [m, K] and their scales (m, 1): the first rows of the block."""
        return self._x[:m], self._x_scale[:m]

    def launch(self, m: int, index: int = HEURISTIC, copy: int = 0) -> torch.Tensor:
        """The product for M tokens by the op that serves, by one of the copies; it may not be done yet."""
        x, x_scale = self.tokens(m)
        return hipb_mm_fp8(x, self.copies[copy], x_scale, self.weight_scale, self.bias, solution_index=index)

    def rotate(self, sets: int) -> None:
        """Have `sets` copies of the shuffled weight in `copies`: launches that read them in turn find no warm cache."""
        for _ in range(len(self.copies), sets):
            self.copies.append(self.copies[0].t().clone().t())

    def drop_copies(self) -> None:
        """Give the copies' memory back."""
        del self.copies[1:]

    @functools.cached_property
    def expected(self) -> Reference:
        """The fp32 result of the dequantised operands, for all rows of the block."""
        return Reference(self._reference())

    def turned(self, m: int) -> "Operands":
        """The same for up to `m` tokens, without the bias that these have, or with one where they have none."""
        turned = copy.copy(self)
        turned.bias = None if self.linear.bias else self._bias
        turned.expected = Reference(self.expected.values[:m].add(self._bias, alpha=-1 if self.linear.bias else 1))
        return turned

    def _reference(self) -> torch.Tensor:
        n, k = self.linear.n, self.linear.k
        result = torch.empty(self.rows, n, device=self._x.device)
        x = self._x.to(torch.float32) * self._x_scale
        step = min(n, max(1, WIDE_BYTES // (4 * k)))
        wide = torch.empty(step, k, device=self._x.device)
        for first in range(0, n, step):
            rows = slice(first, first + step)
            # A weight's scale is its result column's, too: applied there it is a pass over M values instead of K.
            part = torch.mm(x, wide[: min(step, n - first)].copy_(self._weight[rows]).t())
            part.mul_(self._weight_scale[rows].t())
            result[:, rows] = part if self.bias is None else part.add_(self.bias[rows].to(torch.float32))
        return result


def _weight(device: Device, linear: Linear, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    base_rows = min(BASE_ROWS, linear.n)
    drawn = torch.randn(base_rows, linear.k, generator=generator, device=device.torch_device)
    base, _ = quantise.per_channel(drawn, device.fp8)
    codes = base.view(torch.uint8).repeat(1, 2)  # twice side by side: each shift is a window of it
    weight = torch.empty(linear.n, linear.k, dtype=torch.uint8, device=device.torch_device)
    for number, first in enumerate(range(0, linear.n, base_rows)):
        turn, start = divmod(number * SHIFT, linear.k)
        block = codes[:, start : start + linear.k]
        # Where N is so much larger than K that the shifts are used up, other rows are neighbours.
        block = block if turn == 0 else torch.roll(block, 7 * turn, 0)
        weight[first : first + base_rows] = block[: linear.n - first]
    scale = torch.rand(linear.n, 1, generator=generator, device=device.torch_device) * 0.02 + 0.005
    return weight.view(device.fp8), scale


def operand_bytes(linear: Linear, rows: int) -> int:
    """Device bytes that making these operands takes at its peak: weight, its shuffled copy, activations, reference."""
    weight = linear.n * linear.k
    return 3 * weight + rows * linear.k * 8 + rows * linear.n * 12 + min(4 * weight, WIDE_BYTES)
