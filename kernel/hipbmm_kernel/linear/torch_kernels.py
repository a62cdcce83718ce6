"""What computes the linear when HIPBMM does not: PyTorch's FP8 GEMM, and a dequantised product as the last resort."""

import functools
from collections.abc import Mapping

import torch

from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.interface import Fp8LinearKernel, LinearConfig
from hipbmm_kernel.linear.probe import TOLERANCE
from hipbmm_kernel.linear.quantise import per_channel, per_token, reference, relative_error
from hipbmm_kernel.linear.weights import transpose_scale

TILE = 16
"""torch._scaled_mm wants N and K to be multiples of it."""


def _scaled_mm(
    a: torch.Tensor,
    b: torch.Tensor,
    a_scale: torch.Tensor,
    b_scale: torch.Tensor,
    bias: torch.Tensor | None,
    out_dtype: torch.dtype,
) -> torch.Tensor:
    if a.shape[0] == 0:
        return a.new_empty((0, b.shape[1]), dtype=out_dtype)
    return torch._scaled_mm(a, b, scale_a=a_scale, scale_b=b_scale, bias=bias, out_dtype=out_dtype)  # noqa: SLF001 - public in fact


def _product(
    a: torch.Tensor,
    b: torch.Tensor,
    a_scale: torch.Tensor,
    b_scale: torch.Tensor,
    bias: torch.Tensor | None,
    out_dtype: torch.dtype,
) -> torch.Tensor:
    """Scales are applied to the product, which equals applying them to the rows and saves two passes."""
    product = (a.to(torch.float32) @ b.to(torch.float32)) * a_scale * b_scale
    return (product if bias is None else product + bias.to(torch.float32)).to(out_dtype)


class RowWiseTorchFp8Kernel(Fp8LinearKernel):
    """`torch._scaled_mm` with one scale per token and one per channel, where the device has it."""

    multiply = staticmethod(_scaled_mm)

    @classmethod
    def is_supported(
        cls,
        platform: Platform | None = None,  # noqa: ARG003 - decided by a trial, `can_run`
        environ: Mapping[str, str] | None = None,  # noqa: ARG003 - no switch
    ) -> tuple[bool, str | None]:
        """Always: which devices have the GEMM differs between PyTorch releases, so `can_run` tries it."""
        return True, None

    @classmethod
    def can_implement(cls, config: LinearConfig) -> tuple[bool, str | None]:
        """Scales per token and per channel, bfloat16, N and K divisible by 16."""
        if config.weight_shape is None:
            return False, "weight_shape is required."
        if config.out_dtype is not torch.bfloat16:
            return False, "requires bfloat16 output dtype."
        if (config.activation, config.weight) != ("token", "channel"):
            return False, "requires per token activation scales and per channel weight scales."
        n, k = config.weight_shape
        if n % TILE or k % TILE:
            return False, f"requires N and K divisible by 16, received N={n} and K={k}."
        return True, None

    @classmethod
    def can_run(cls, device: torch.device, dtype: torch.dtype) -> tuple[bool, str | None]:
        """One small product on the device, compared with fp32."""
        reason = _scaled_mm_reason(device, dtype)
        return reason is None, reason

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return weight.t().contiguous().t(), transpose_scale(scale)


class DequantisedFp8Kernel(Fp8LinearKernel):
    """A float32 product of the dequantised operands: slow, on every device, for every shape and output type."""

    multiply = staticmethod(_product)

    @classmethod
    def is_supported(
        cls,
        platform: Platform | None = None,  # noqa: ARG003 - every platform
        environ: Mapping[str, str] | None = None,  # noqa: ARG003 - no switch
    ) -> tuple[bool, str | None]:
        """Always."""
        return True, None

    @classmethod
    def can_implement(cls, config: LinearConfig) -> tuple[bool, str | None]:  # noqa: ARG003 - any linear
        """Always."""
        return True, None

    @classmethod
    def can_run(cls, device: torch.device, dtype: torch.dtype) -> tuple[bool, str | None]:  # noqa: ARG003 - any device
        """Always."""
        return True, None

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return weight, transpose_scale(scale)


@functools.cache
def _scaled_mm_reason(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why `torch._scaled_mm` cannot be used with row-wise scales, or None."""
    generator = torch.Generator(device).manual_seed(0)
    x, w = (torch.randn(rows, 64, generator=generator, device=device) for rows in (17, 32))
    a, a_scale = per_token(x, dtype)
    weight, weight_scale = per_channel(w, dtype)
    try:
        result = _scaled_mm(a, weight.t(), a_scale, transpose_scale(weight_scale), None, torch.bfloat16)
    except (RuntimeError, ValueError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    error_size = relative_error(result, reference(a, a_scale, weight, weight_scale))
    return None if error_size <= TOLERANCE else f"wrong result: relative error {error_size:.3g}"
