"""Per-token quantisation."""

import torch

from aiter.utility import dtypes


def pertoken_quant(
    x: torch.Tensor,
    scale: torch.Tensor | None = None,
    x_scale: torch.Tensor | None = None,
    scale_dtype: torch.dtype = dtypes.fp32,
    quant_dtype: torch.dtype = dtypes.i8,
    dtypeMax: float | None = None,  # noqa: N803 - AITER's name
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise the rows of ``x`` [M, K].

    Values of ``quant_dtype`` and scales [M, 1], where a row of zeros has scale 1.
    """
    wide = x.to(torch.float32)
    if x_scale is not None:
        wide = wide * x_scale
    if dtypeMax is None:
        is_float = quant_dtype.is_floating_point
        dtypeMax = float(torch.finfo(quant_dtype).max if is_float else torch.iinfo(quant_dtype).max)  # noqa: N806
    if scale is None:
        scale = wide.abs().amax(dim=-1, keepdim=True) / dtypeMax
        scale[scale == 0] = 1
    return (wide / scale).to(quant_dtype), scale.to(scale_dtype)


def dynamic_per_token_scaled_quant(
    out: torch.Tensor,
    input: torch.Tensor,  # noqa: A002 - AITER's name
    scales: torch.Tensor,
    scale_ub: torch.Tensor | None = None,
    shuffle_scale: bool = False,
    num_rows: torch.Tensor | None = None,
    num_rows_factor: int = 1,
) -> None:
    """Quantise the rows of ``input`` [..., K] into ``out`` with one scale each, written to ``scales`` [..., 1].

    Shuffled scales, a bound of them and counted rows are for fused experts, which are not simulated.
    """
    if shuffle_scale or scale_ub is not None or num_rows is not None or num_rows_factor != 1:
        raise NotImplementedError("dynamic_per_token_scaled_quant: only plain rows are simulated")
    quantised, found = pertoken_quant(input, quant_dtype=out.dtype)
    out.copy_(quantised)
    scales.copy_(found)
