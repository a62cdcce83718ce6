"""Operands of one linear on the device, made once per child: shuffled weight, activations for every M, fp32 reference.

All M of a linear share one block of activations and take its first rows: the reference of the whole block then serves
every M, and each element of each result is compared, not a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from hipbmm_kernel.linear import quantise, weights

if TYPE_CHECKING:
    from hipbmm_kernel.tune.device import Device

SEED = 20_260_605
BASE_ROWS = 512
"""Rows of a weight that are drawn; the others repeat their codes with scales of their own, which is as telling for a
GEMM and saves minutes where random numbers are slow."""
REFERENCE_ROWS = 4096
"""Weight rows that are dequantised at once for the reference."""


class Linear(NamedTuple):
    """Which weight: N rows, K columns, with a bias or without."""

    n: int
    k: int
    bias: bool


class Operands:
    """The operands of one linear for up to `rows` tokens."""

    def __init__(self, device: Device, linear: Linear, rows: int) -> None:
        self.linear = linear
        self.rows = rows
        generator = torch.Generator(device.torch_device).manual_seed(SEED + linear.n * 31 + linear.k)
        self._weight, scale = _weight(device, linear, generator)
        self._weight_scale = scale
        self.shuffled = weights.shuffle(self._weight)
        self.weight_scale = weights.transpose_scale(scale)
        x = torch.randn(rows, linear.k, generator=generator, device=device.torch_device)
        self._x, self._x_scale = quantise.per_token(x, device.fp8)
        self.bias = None
        if linear.bias:
            bias = torch.randn(linear.n, generator=generator, device=device.torch_device)
            self.bias = bias.to(torch.bfloat16)
        self._expected: torch.Tensor | None = None

    def tokens(self, m: int) -> tuple[torch.Tensor, torch.Tensor]:
        """FP8 activations [m, K] and their scales (m, 1): the first rows of the block."""
        return self._x[:m], self._x_scale[:m]

    def expected(self, m: int) -> torch.Tensor:
        """The fp32 result [m, N] of the dequantised operands."""
        if self._expected is None:
            self._expected = self._reference()
        return self._expected[:m]

    def _reference(self) -> torch.Tensor:
        parts = []
        for first in range(0, self.linear.n, REFERENCE_ROWS):
            rows = slice(first, first + REFERENCE_ROWS)
            bias = None if self.bias is None else self.bias[rows]
            part = quantise.reference(self._x, self._x_scale, self._weight[rows], self._weight_scale[rows], bias)
            parts.append(part)
        return torch.cat(parts, dim=1)


def _weight(device: Device, linear: Linear, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    base_rows = min(BASE_ROWS, linear.n)
    drawn = torch.randn(base_rows, linear.k, generator=generator, device=device.torch_device)
    base, _ = quantise.per_channel(drawn, device.fp8)
    codes = base.view(torch.uint8)
    weight = torch.empty(linear.n, linear.k, dtype=torch.uint8, device=device.torch_device)
    for number, first in enumerate(range(0, linear.n, base_rows)):
        block = codes if number == 0 else torch.roll(codes, shifts=(7 * number, 32 * number), dims=(0, 1))
        weight[first : first + base_rows] = block[: linear.n - first]
    scale = torch.rand(linear.n, 1, generator=generator, device=device.torch_device) * 0.02 + 0.005
    return weight.view(device.fp8), scale


def operand_bytes(linear: Linear, rows: int) -> int:
    """Device bytes that making these operands takes at its peak: weight, its shuffled copy, activations, reference."""
    return 3 * linear.n * linear.k + rows * linear.k * 8 + rows * linear.n * 8 + REFERENCE_ROWS * linear.k * 8
