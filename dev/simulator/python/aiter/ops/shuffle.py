"""The (16, 16) weight layout of hipBLASLt's swizzled kernels."""

import torch
from aiter_simulator import numerics


def shuffle_weight(x: torch.Tensor, layout: tuple[int, int] = (16, 16), use_int4: bool = False) -> torch.Tensor:
    """A shuffled copy of ``x`` [..., rows, K]. AssertionError unless rows % 16 = 0 and K % 32 = 0, as in AITER."""
    if tuple(layout) != (16, 16) or use_int4:
        raise NotImplementedError("the simulator knows the layout (16, 16) of 8- and 16-bit types only")
    rows_by, columns_by = layout[0], layout[1] * 2
    rows, columns = x.shape[-2], x.shape[-1]
    assert rows % rows_by == 0, f"{rows} % {rows_by} == {rows % rows_by}"  # noqa: S101 - AITER asserts this
    assert columns % columns_by == 0, f"{columns} % {columns_by} == {columns % columns_by}"  # noqa: S101 - same
    size = x.element_size()
    integers = x.contiguous().view(torch.uint8 if size == 1 else torch.int16)
    shuffled = numerics.swizzle(integers, 16 // size).contiguous().view(x.dtype)
    shuffled.is_shuffled = True
    return shuffled
