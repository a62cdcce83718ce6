"""The (16, 16) weight layout of hipBLASLt's swizzled kernels."""

import torch
from aiter_simulator import numerics


def shuffle_weight(
    x: torch.Tensor,
    layout: tuple[int, int] = (16, 16),
    use_int4: bool = False,
    is_guinterleave: bool = False,
    gate_up: bool = False,
    pad_k_to: int = 0,
) -> torch.Tensor:
    """A shuffled copy of ``x`` [..., rows, K]. AssertionError unless rows % 16 = 0 and K % 32 = 0, as in AITER.

    With ``pad_k_to`` the copy has zeros behind each row, up to the next multiple: another K than the activations'.
    """
    if tuple(layout) != (16, 16) or use_int4 or is_guinterleave or gate_up:
        raise NotImplementedError("the simulator knows the layout (16, 16) of 8- and 16-bit types only")
    original = x.shape[-1]
    if pad_k_to < 0:
        raise ValueError(f"pad_k_to must be non-negative, got {pad_k_to}")
    if pad_k_to and original % pad_k_to:
        codes = x.contiguous().view(torch.uint8 if x.element_size() == 1 else torch.int16)
        x = torch.nn.functional.pad(codes, (0, -original % pad_k_to)).view(x.dtype)
    rows_by, columns_by = layout[0], layout[1] * 2
    rows, columns = x.shape[-2], x.shape[-1]
    assert rows % rows_by == 0, f"{rows} % {rows_by} == {rows % rows_by}"  # noqa: S101 - AITER asserts this
    assert columns % columns_by == 0, f"{columns} % {columns_by} == {columns % columns_by}"  # noqa: S101 - same
    size = x.element_size()
    integers = x.contiguous().view(torch.uint8 if size == 1 else torch.int16)
    shuffled = numerics.swizzle(integers, 16 // size).contiguous().view(x.dtype)
    shuffled.is_shuffled = True
    if pad_k_to:
        shuffled.aiter_original_k, shuffled.aiter_padded_k = original, columns
    return shuffled
