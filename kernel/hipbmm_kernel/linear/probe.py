"""Does this stack have a swizzled FP8 solution at all? Asked by trying, because several gfx950 releases have none."""

import functools
from collections.abc import Callable

import torch

from hipbmm_kernel.linear.op import hipb_mm_fp8, shuffle, transpose_scale
from hipbmm_kernel.linear.quantise import per_channel, per_token, reference, relative_error
from hipbmm_kernel.system.shown import first_line

TOKENS = 1024
"""Above AITER's limit of 512 for lookup and tuning: there a missing solution is an error, not a garbage candidate."""

WEIGHT_SHAPE = (512, 4096)
"""(N, K) of the probe in vLLM's own test of this kernel."""

TOLERANCE = 0.02
"""Relative error above which a result is wrong; rounding to bf16 alone gives 0.002."""

NO_SOLUTION = "found 0 valid solutions"
"""What AITER's exception says when hipBLASLt has none (AITER #2252)."""


@functools.cache
def probe(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why `hipb_mm_fp8` cannot be used on `device` with FP8 type `dtype`, or None when it answers and answers right.

    AITER v0.1.10.post2 to v0.1.11 lack the check for zero solutions: there only the comparison of the result shows it,
    and the process may end. Run it in a child where that matters.
    """

    def product(a: torch.Tensor, a_scale: torch.Tensor, w: torch.Tensor, w_scale: torch.Tensor) -> torch.Tensor:
        return hipb_mm_fp8(a, shuffle(w), a_scale, transpose_scale(w_scale))

    return trial(product, device, dtype, WEIGHT_SHAPE, TOKENS)


def trial(
    product: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    device: torch.device,
    dtype: torch.dtype,
    weight_shape: tuple[int, int],
    tokens: int,
) -> str | None:
    """Why one product of a (M, K), its scale (M, 1), weight (N, K), its scale (N, 1) is not right; None when it is."""
    n, k = weight_shape
    generator = torch.Generator(device).manual_seed(0)
    x, w = (torch.randn(rows, k, generator=generator, device=device) for rows in (tokens, n))
    operands = (*per_token(x, dtype), *per_channel(w, dtype))
    try:
        result = product(*operands)
    except (RuntimeError, ValueError) as error:
        return next((line for line in str(error).splitlines() if NO_SOLUTION in line), first_line(error))
    size = relative_error(result, reference(*operands))
    return None if size <= TOLERANCE else f"wrong result: relative error {size:.3g} at M={tokens}, N={n}, K={k}"
