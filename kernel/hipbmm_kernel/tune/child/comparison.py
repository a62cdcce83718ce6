"""Is a result right? Compared element by element with an fp32 product of the same dequantised operands."""

import torch

RELATIVE = 0.02
ABSOLUTE = 0.02
"""Of the reference's root mean square. bf16 rounds to 0.004 of a value; sums of another order differ by less."""
PART_ELEMENTS = 1 << 19
"""Compared at once: a result of 512 x 51200 is 100 MB in fp32, and each temporary of that size costs more than its
sum."""


class Reference:
    """What is right: fp32 values [rows, N], of which a result of M tokens is compared with the first M rows."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values
        self._squares = torch.linalg.vector_norm(values, dim=1).square().double().cumsum(0)
        """Sums of the squares of the first rows."""

    def compare(self, result: torch.Tensor) -> str | None:
        """Why `result` [M, N] is not the first M rows of the reference, or None. NaN and infinity are wrong."""
        m, n = len(result), self.values.shape[1]
        expected = self.values[:m]
        if result.shape != expected.shape:
            return f"shape {list(result.shape)} instead of {[m, n]}"
        if result.numel() == 0:
            return None
        rms = float(self._squares[m - 1] / (m * n)) ** 0.5
        step = max(1, PART_ELEMENTS // n)
        worst = torch.stack([self._excess(result, first, first + step).amax() for first in range(0, m, step)]).amax()
        most = float(worst)
        if most <= ABSOLUTE * rms:  # false for NaN, which amax() hands on
            return None
        wrong = int((~(self._excess(result, 0, m) <= ABSOLUTE * rms)).sum())
        return f"{wrong} of {result.numel()} elements are wrong; the worst by {most / max(rms, 1e-30):.3g} of the RMS"

    def _excess(self, result: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """By how much elements of rows `first` to `last` lie farther off than their own size allows."""
        values = self.values[first : min(last, len(result))]
        return result[first:last].to(torch.float32, copy=True).sub_(values).abs_().sub_(values.abs(), alpha=RELATIVE)
