"""The weight and its scale in the form that `hipb_mm` reads.

AITER wants the weight in hipBLASLt's pre-shuffled order (COL16_4R16), seen as a [K, N] view. Both are made once, when
weights are loaded: doing it per call costs a copy of the weight, and doing it at both places gives wrong results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SHUFFLE_LAYOUT = (16, 16)


def shuffle(weight: torch.Tensor) -> torch.Tensor:
    """The [K, N] view, strides (1, K), of the shuffled copy of an FP8 weight [N, K].

    The view must stay a view: a contiguous copy of it is another memory layout and another product. Raises AITER's
    AssertionError when N is no multiple of 16 or K none of 32 (`eligibility.shuffle_reason` says so beforehand).
    """
    from aiter.ops.shuffle import shuffle_weight  # noqa: PLC0415 - exists only in ROCm images

    return shuffle_weight(weight.contiguous(), layout=SHUFFLE_LAYOUT).t()


def transpose_scale(scale: torch.Tensor) -> torch.Tensor:
    """The contiguous (1, N) form of a per-channel scale (N, 1); a scalar scale is returned as it is."""
    return scale.t().contiguous() if scale.ndim > 1 else scale
