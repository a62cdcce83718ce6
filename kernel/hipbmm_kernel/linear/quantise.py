"""Symmetric FP8 quantisation with one scale per row, and the fp32 product that results are compared with.

A row of activations is a token, a row of a weight is an output channel, so one function does both.
"""

import torch

FNUZ = torch.float8_e4m3fnuz
OCP = torch.float8_e4m3fn

_FNUZ_MAX = 224.0
_SMALLEST_STEPS = 512.0
_FNUZ_NAN = -128


def fp8_dtype(arch: str | None) -> torch.dtype:
    """The FP8 type of a GPU's matrix cores: e4m3fnuz on gfx94x, e4m3fn on gfx950 and on every other device (None)."""
    return FNUZ if arch is not None and arch.startswith("gfx94") else OCP


def fp8_limit(dtype: torch.dtype) -> float:
    """The largest magnitude used: 448 for e4m3fn; 224 and not 240 for e4m3fnuz, as vLLM does for accuracy."""
    return _FNUZ_MAX if dtype is FNUZ else torch.finfo(dtype).max


def per_row(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """FP8 values [R, C], contiguous, and float32 scales (R, 1) with `x` ~ values * scales, for x [R, C].

    A row of zeros gets the smallest scale instead of a division by zero; NaN and infinity come out as NaN.
    """
    limit = fp8_limit(dtype)
    values = x.to(torch.float32)
    scale = (values.abs().amax(dim=1, keepdim=True) / limit).clamp(min=1.0 / (limit * _SMALLEST_STEPS))
    return (values / scale).clamp(-limit, limit).to(dtype).contiguous(), scale


per_token = per_channel = per_row
"""Activations [M, K] as FP8 [M, K] and scales (M, 1); a weight [N, K] as FP8 [N, K] and scales (N, 1)."""


def to_fnuz(values: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same numbers as e4m3fnuz, from e4m3fn `values` and their scale.

    One bit pattern means half as much in e4m3fnuz, so the bits stay and the scale doubles; e4m3fn's -0 is NaN there.
    """
    if values.dtype is not OCP:
        raise ValueError(f"only float8_e4m3fn can be converted to float8_e4m3fnuz, received {values.dtype}")
    bits = values.view(torch.int8)
    return torch.where(bits == _FNUZ_NAN, torch.zeros_like(bits), bits).view(FNUZ), scale * 2.0


def reference(
    a: torch.Tensor,
    a_scale: torch.Tensor,
    weight: torch.Tensor,
    weight_scale: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The float32 product [M, N] of dequantised operands: a [M, K] with (M, 1), weight [N, K] unshuffled, (N, 1)."""
    product = (a.to(torch.float32) * a_scale) @ (weight.to(torch.float32) * weight_scale).t()
    return product if bias is None else product + bias.to(torch.float32)


def relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    """Frobenius norm of the difference over that of `expected`; rounding to bf16 gives about 0.002. NaN if any is."""
    expected = expected.detach()
    difference = result.detach().to(torch.float32) - expected
    return float(difference.norm() / expected.norm().clamp(min=torch.finfo(torch.float32).tiny))
