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
    scale = float(expected.norm()) / max(1, expected.numel()) ** 0.5
    # In place where it can be: a result of 512 x 51200 is 100 MB in fp32, and every temporary costs more than the sum.
    excess = result.to(torch.float32).sub_(expected).abs_()
    excess.sub_(expected.abs().mul_(RELATIVE))
    worst = float(excess.max()) if excess.numel() else 0.0
    if worst <= ABSOLUTE * scale:  # false for NaN, which max() hands on
        return None
    wrong = int((~(excess <= ABSOLUTE * scale)).sum())
    return f"{wrong} of {result.numel()} elements are wrong; the worst by {worst / max(scale, 1e-30):.3g} of the RMS"
