"""From the arguments of hipb_mm to a problem.

AITER's checks, in its words, and its view of layouts and leading dimensions.
"""

import torch

from aiter_simulator import library
from aiter_simulator.problem import Gemm

_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.int8, torch.float8_e4m3fnuz, torch.float8_e4m3fn}
_FP8 = {torch.float8_e4m3fnuz, torch.float8_e4m3fn}
_SWIZZLE_VERSION = 1500
_MATRIX = 2
_TILE = 16


def check(condition: bool, message: str) -> None:
    """TORCH_CHECK."""
    if not condition:
        raise RuntimeError(message)


def describe(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    bias: torch.Tensor | None,
    out_dtype: torch.dtype | None,
    scales: tuple[torch.Tensor | None, torch.Tensor | None],
    *,
    preshuffle: bool,
) -> Gemm:
    """The problem of mat1 [M, K] times mat2 [K, N]. Raises RuntimeError as AITER's TORCH_CHECKs do."""
    wanted = " to use bpreshuffle feature, hipblaslt version should be at least 1500."
    check(not preshuffle or library.version_number() >= _SWIZZLE_VERSION, wanted)
    check(mat1.dim() == _MATRIX and mat2.dim() == _MATRIX, "tensors must be 2-D")
    check(
        mat1.dtype == mat2.dtype,
        f"expected mat1 and mat2 to have the same dtype, but got: {_c10(mat1.dtype)} != {_c10(mat2.dtype)}",
    )
    check(mat1.shape[1] == mat2.shape[0], "mat1 dim 1 must match mat2 dim 0")
    out = mat1.dtype if out_dtype is None else out_dtype
    check(mat1.dtype in _TYPES and out in _TYPES, "map::at")
    rows, columns = mat1.shape[0], mat2.shape[1]
    rowwise = _rowwise(mat1, columns, out, scales)
    # The result is computed transposed: hipBLASLt's A is mat2, its B is mat1.
    mat2_plain, mat1_plain = _column_major(mat2), _column_major(mat1)
    return Gemm(
        M=rows,
        N=columns,
        K=mat1.shape[1],
        in_type=_name(mat1.dtype),
        out_type=_name(out),
        preshuffle=preshuffle,
        rowwise=rowwise,
        scaled=scales[1] is not None,
        bias=bias is not None,
        trans_a="T" if mat2_plain else "N",
        trans_b="T" if mat1_plain else "N",
        lda=mat2.stride(1) if mat2_plain else mat2.stride(0),
        ldb=mat1.stride(1) if mat1_plain else mat1.stride(0),
        ldc=max(1, columns),
    )


def _column_major(matrix: torch.Tensor) -> bool:
    """Whether the first dimension is contiguous; other layouts are undefined behaviour in AITER and refused here."""
    (rows, columns), (first, second) = matrix.shape, matrix.stride()
    if first == 1 and second >= max(1, rows):
        return True
    if second == 1 and first >= max(1, columns):
        return False
    raise AssertionError("unusual strides detected, may need to clone a contiguous tensor")


def _rowwise(
    mat1: torch.Tensor, columns: int, out: torch.dtype, scales: tuple[torch.Tensor | None, torch.Tensor | None]
) -> bool:
    scale_a, scale_b = scales
    if scale_a is None or scale_b is None:
        return False
    fp32 = scale_a.dtype == torch.float32 and scale_b.dtype == torch.float32
    check(fp32, "Both scale_a and scale_b must be float (fp32) tensors.")
    if scale_a.numel() == 1 and scale_b.numel() == 1 and not (len(mat1) == 1 and columns == 1):
        return False
    check(
        scale_a.dim() == _MATRIX and scale_b.dim() == _MATRIX,
        "For non-TensorWise scaling, scale tensors must be 2-dimensional, "
        f"but got scale_a.dim()={scale_a.dim()} and scale_b.dim()={scale_b.dim()}",
    )
    rows = len(mat1)
    fitting = tuple(scale_a.shape) == (rows, 1) and tuple(scale_b.shape) == (1, columns)
    check(fitting, _misfit(rows, columns, scale_a, scale_b))
    contiguous = scale_a.is_contiguous() and scale_b.is_contiguous()
    check(contiguous, "Both scale_a and scale_b must be contiguous for RowWise scaling.")
    _check_rowwise(mat1, columns, out)
    return True


def _check_rowwise(mat1: torch.Tensor, columns: int, out: torch.dtype) -> None:
    name = "hipblaslt rowwise scaled_mm"
    check(out is torch.bfloat16, f"{name} only supports BFloat16 output but got {_c10(out)}")
    check(mat1.dtype in _FP8, f"{name} only supports FP8 input but got {_c10(mat1.dtype)}")
    check(columns >= _TILE, f"{name} requires n >= 16")
    check(columns % _TILE == 0, f"{name} requires n to be divisible by 16")
    check(mat1.shape[1] % _TILE == 0, f"{name} requires k to be divisible by 16")


def _misfit(rows: int, columns: int, scale_a: torch.Tensor, scale_b: torch.Tensor) -> str:
    shapes = [f"({scale.shape[0]}, {scale.shape[1]})" for scale in (scale_a, scale_b)]
    return (
        "Invalid scaling configuration. Supported modes:\n"
        "  - TensorWise: both scales are scalars (1 element) of shape (1,1)\n"
        f"  - RowWise: scale_a=({rows}, 1), scale_b=(1, {columns})\n"
        f"Got scale_a.size()={shapes[0]} and scale_b.size()={shapes[1]}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _c10(dtype: torch.dtype) -> str:
    """The name that C++ prints for a type."""
    names = {"float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "int8": "Char"}
    return names.get(_name(dtype), _name(dtype).replace("float", "Float", 1))
