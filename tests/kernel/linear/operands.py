"""Operands of an FP8 GEMM with a known right answer."""

from typing import NamedTuple

import torch

from hipbmm_kernel.linear.op import shuffle, transpose_scale
from hipbmm_kernel.linear.quantise import FNUZ, per_channel, per_token, reference


class Operands(NamedTuple):
    """a [M, K] with scale (M, 1), weight [N, K] unshuffled with scale (N, 1), bias [N] or None, the fp32 product."""

    a: torch.Tensor
    a_scale: torch.Tensor
    weight: torch.Tensor
    weight_scale: torch.Tensor
    bias: torch.Tensor | None
    expected: torch.Tensor

    def call(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The arguments of the op."""
        return self.a, shuffle(self.weight), self.a_scale, transpose_scale(self.weight_scale), self.bias


def make(m: int, n: int, k: int, *, bias: bool = False, dtype: torch.dtype = FNUZ) -> Operands:
    """Normally distributed operands, rows of very different size so that a swapped scale shows."""
    generator = torch.Generator().manual_seed(m * 7919 + n * 31 + k)
    x = torch.randn(m, k, generator=generator) * torch.logspace(-1, 1, m).unsqueeze(1)
    w = torch.randn(n, k, generator=generator) * torch.logspace(1, -1, n).unsqueeze(1) / k**0.5
    b = torch.randn(n, generator=generator).to(torch.bfloat16) if bias else None
    a, a_scale = per_token(x, dtype)
    weight, weight_scale = per_channel(w, dtype)
    return Operands(a, a_scale, weight, weight_scale, b, reference(a, a_scale, weight, weight_scale, b))
