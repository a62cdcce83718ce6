"""Is a result right? Compared element by element with an fp32 product of the same dequantised operands."""

from __future__ import annotations

import torch

RELATIVE = 0.02
ABSOLUTE = 0.02
"""Of the reference's root mean square. bf16 rounds to 0.004 of a value; sums of another order differ by less."""


def compare(result: torch.Tensor, expected: torch.Tensor) -> str | None:
    """Why `result` [M, N] is not `expected` (fp32 [M, N]), or None. NaN and infinity are wrong."""
    if result.shape != expected.shape:
        return f"shape {list(result.shape)} instead of {list(expected.shape)}"
    scale = float(expected.pow(2).mean().sqrt())
    difference = (result.to(torch.float32) - expected).abs_()
    excess = difference - RELATIVE * expected.abs()
    worst = float(excess.max())
    if worst <= ABSOLUTE * scale:  # false for NaN, which max() hands on
        return None
    wrong = int((~(excess <= ABSOLUTE * scale)).sum())
    return f"{wrong} of {result.numel()} elements are wrong; the worst by {worst / max(scale, 1e-30):.3g} of the RMS"
