"""The functions of module_hipbsolgemm with AITER's own names, parameters and defaults, in both generations."""

from typing import TypeAlias

import torch
from aiter_simulator import gemm, generation
from aiter_simulator.call import Call

_Optional: TypeAlias = torch.Tensor | None


def hipb_create_extension() -> None:
    """Create the process's one hipBLASLt handle and its workspace."""
    gemm.create_extension()


def hipb_destroy_extension() -> None:
    """Destroy them; calling hipb_mm afterwards ends the process."""
    gemm.destroy_extension()


def _mm_with_gelu(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    solution_index: int,
    bias: _Optional = None,
    out_dtype: torch.dtype | None = None,
    scaleA: _Optional = None,  # noqa: N803 - AITER's name
    scaleB: _Optional = None,  # noqa: N803 - same
    scaleOut: _Optional = None,  # noqa: N803 - same
    bpreshuffle: bool | None = None,
    use_gelu: bool | None = None,
) -> torch.Tensor:
    """mat1 [M, K] times mat2 [K, N]: from AITER v0.1.12 on."""
    scales = (scaleA, scaleB, scaleOut)
    call = Call(mat1, mat2, bias, out_dtype, scales, bool(bpreshuffle), bool(use_gelu))
    return gemm.multiply(call, solution_index)


def _mm_without_gelu(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    solution_index: int,
    bias: _Optional = None,
    out_dtype: torch.dtype | None = None,
    scaleA: _Optional = None,  # noqa: N803 - AITER's name
    scaleB: _Optional = None,  # noqa: N803 - same
    scaleOut: _Optional = None,  # noqa: N803 - same
    bpreshuffle: bool | None = None,
) -> torch.Tensor:
    """mat1 [M, K] times mat2 [K, N]: v0.1.10.post2 to v0.1.11."""
    scales = (scaleA, scaleB, scaleOut)
    return gemm.multiply(Call(mat1, mat2, bias, out_dtype, scales, bool(bpreshuffle)), solution_index)


hipb_mm = _mm_without_gelu if generation.OLD else _mm_with_gelu


def _findallsols_with_gelu(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    bias: _Optional = None,
    out_dtype: torch.dtype | None = None,
    scaleA: _Optional = None,  # noqa: N803 - AITER's name
    scaleB: _Optional = None,  # noqa: N803 - same
    scaleC: _Optional = None,  # noqa: ARG001, N803 - same; it changes no predicate
    bpreshuffle: bool = False,
    use_gelu: bool = False,  # noqa: ARG001 - same
) -> list[int]:
    """All indices the library says support the problem. The swizzle order is not asked for: check what they compute."""
    return gemm.find_all(mat1, mat2, bias, out_dtype, (scaleA, scaleB), preshuffle=bpreshuffle)


def _findallsols_without_gelu(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    bias: _Optional = None,
    out_dtype: torch.dtype | None = None,
    scaleA: _Optional = None,  # noqa: N803 - AITER's name
    scaleB: _Optional = None,  # noqa: N803 - same
    scaleC: _Optional = None,  # noqa: ARG001, N803 - same
    bpreshuffle: bool = False,
) -> list[int]:
    """The same: v0.1.10.post2 to v0.1.11."""
    return gemm.find_all(mat1, mat2, bias, out_dtype, (scaleA, scaleB), preshuffle=bpreshuffle)


hipb_findallsols = _findallsols_without_gelu if generation.OLD else _findallsols_with_gelu


def _kernel_name(solution_index: int) -> str:
    """The kernel's name; an index that the build does not have ends the process."""
    return gemm.kernel_name(solution_index)


def _kernel_name_without_argument() -> str:
    """The Python stub declares no argument and the C++ function wants one: no call succeeds through newer wrappers."""
    raise TypeError("getHipblasltKernelName(): incompatible function arguments. (solution_index: int) -> str")


getHipblasltKernelName = _kernel_name if generation.OLD else _kernel_name_without_argument  # noqa: N816
