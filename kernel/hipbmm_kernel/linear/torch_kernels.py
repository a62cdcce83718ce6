"""What computes the linear when HIPBMM does not: PyTorch's FP8 GEMM, and a dequantised product as the last resort."""

import functools

import torch

from hipbmm_kernel.linear.interface import Fp8LinearKernel, LinearConfig, ptpc_bfloat16
from hipbmm_kernel.linear.op import transpose_scale
from hipbmm_kernel.linear.probe import trial


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
    """`torch._scaled_mm` with one scale per token and one per channel.

    Which devices have the GEMM differs between PyTorch releases, so only a trial decides.
    """

    multiply = staticmethod(_scaled_mm)

    @staticmethod
    def refusal(config: LinearConfig) -> str | None:
        """Scales per token and per channel, bfloat16, N and K divisible by 16."""
        return "weight_shape is required." if config.weight_shape is None else ptpc_bfloat16(config)

    @staticmethod
    @functools.cache
    def trial(device: torch.device, dtype: torch.dtype) -> str | None:
        """One small product on the device, compared with fp32."""

        def product(a: torch.Tensor, a_scale: torch.Tensor, w: torch.Tensor, w_scale: torch.Tensor) -> torch.Tensor:
            return _scaled_mm(a, w.t(), a_scale, transpose_scale(w_scale), None, torch.bfloat16)

        return trial(product, device, dtype, (32, 64), 17)

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return weight.t().contiguous().t(), transpose_scale(scale)


class DequantisedFp8Kernel(Fp8LinearKernel):
    """A float32 product of the dequantised operands: slow, on every device, for every shape and output type."""

    multiply = staticmethod(_product)

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return weight, transpose_scale(scale)
