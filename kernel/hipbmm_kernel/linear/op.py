"""The op `hipbmm::hipb_mm_fp8`: AITER's hipBLASLt GEMM on FP8 operands, visible to `torch.compile` and graph capture.

AITER wants the weight in hipBLASLt's pre-shuffled order (COL16_4R16), seen as a [K, N] view. Both are made once, when
weights are loaded: doing it per call costs a copy of the weight, and doing it at both places gives wrong results.

Same contract as vLLM's `rocm_aiter_hipb_mm_fp8` (vLLM 0.23.0), with two additions: a solution index for A/B timing, and
a check of the operand layout, because AITER's behaviour on odd strides is undefined. The op calls `aiter.hipb_mm` with
keywords and never passes `use_gelu`, which AITER v0.1.10.post2 to v0.1.11 do not know.
"""

import contextlib
import importlib
import logging
import threading
from types import ModuleType

import torch

from hipbmm_kernel.linear.libraries import share_hip_runtime

NAME = "hipbmm::hipb_mm_fp8"

HEURISTIC = -1
"""Solution index that leaves the choice to AITER: its table, then online tuning, then hipBLASLt's heuristic."""

SHUFFLE_LAYOUT = (16, 16)

SCHEMA = (
    "(Tensor a, Tensor b, Tensor a_scale, Tensor b_scale, Tensor? bias=None, "
    "ScalarType out_dtype=bfloat16, int solution_index=-1) -> Tensor"
)

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_extensions: dict[torch.device, ModuleType] = {}


def load_aiter() -> ModuleType:
    """The `aiter` module. Raises whatever its import raises: it loads compiled code, so not only ImportError.

    Its modules find the HIP runtime that torch uses (`libraries`): so it is imported first by this function.
    """
    share_hip_runtime(torch._C.__file__)  # noqa: SLF001 - where vLLM looks for it, too
    return importlib.import_module("aiter")


def ensure_extension(device: torch.device) -> ModuleType:
    """Create AITER's handle and 256 MiB workspace on `device`, once per device in this process; returns `aiter`.

    A second creation on one device leaks the first workspace. AITER holds both in globals, so a process that uses two
    devices is served by the one created last: that is logged, since one process per GPU is what AITER supports.
    """
    module = _extensions.get(device)
    if module is not None:
        return module
    with _lock:
        if device in _extensions:
            return _extensions[device]
        if _extensions:
            logger.warning("AITER keeps one hipBLASLt handle per process: it moves to %s now", device)
        module = load_aiter()
        on_device = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
        with on_device:
            module.hipb_create_extension()
        _extensions[device] = module
        return module


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


def _layout_error(a: torch.Tensor, b: torch.Tensor, a_scale: torch.Tensor, b_scale: torch.Tensor) -> str | None:
    """What is wrong with the operands, or None."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:  # noqa: PLR2004 - matrices
        return f"a must be [M, K] and b [K, N], received {list(a.shape)} and {list(b.shape)}"
    if not a.is_contiguous():
        return f"a must be contiguous, received strides {a.stride()}"
    if b.stride() != (1, b.shape[0]):
        return f"b must be the [K, N] view of a shuffled [N, K] weight, strides (1, K), received strides {b.stride()}"
    for name, scale in (("a_scale", a_scale), ("b_scale", b_scale)):
        if scale.dtype is not torch.float32 or not scale.is_contiguous():
            return f"{name} must be contiguous float32, received {scale.dtype} with strides {scale.stride()}"
    row_wise = a_scale.shape == (a.shape[0], 1) and b_scale.shape == (1, b.shape[1])
    if not row_wise and not a_scale.numel() == b_scale.numel() == 1:
        shapes = f"{list(a_scale.shape)} and {list(b_scale.shape)}"
        return f"scales must be (M, 1) and (1, N), or one element each, received {shapes}"
    return None


def _real(
    a: torch.Tensor,
    b: torch.Tensor,
    a_scale: torch.Tensor,
    b_scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype = torch.bfloat16,
    solution_index: int = HEURISTIC,
) -> torch.Tensor:
    error = _layout_error(a, b, a_scale, b_scale)
    if error is not None:
        raise ValueError(f"hipb_mm_fp8: {error}")
    if a.shape[0] == 0:
        return a.new_empty((0, b.shape[1]), dtype=out_dtype)
    return ensure_extension(a.device).hipb_mm(
        a,
        b,
        solution_index=solution_index,
        bias=bias,
        out_dtype=out_dtype,
        scaleA=a_scale,
        scaleB=b_scale,
        scaleOut=None,
        bpreshuffle=True,
    )


def _fake(
    a: torch.Tensor,
    b: torch.Tensor,
    a_scale: torch.Tensor,  # noqa: ARG001 - the schema's
    b_scale: torch.Tensor,  # noqa: ARG001 - the schema's
    bias: torch.Tensor | None = None,  # noqa: ARG001 - the schema's
    out_dtype: torch.dtype = torch.bfloat16,
    solution_index: int = HEURISTIC,  # noqa: ARG001 - the schema's
) -> torch.Tensor:
    torch._check(a.shape[1] == b.shape[0])  # noqa: SLF001 - PyTorch documents it under this name
    # b is [K, N]: the number of output features is its second dimension.
    return a.new_empty((a.shape[0], b.shape[1]), dtype=out_dtype)


# Defined on torch.library's low level, as vLLM does: `torch.library.custom_op` adds an autograd wrapper that doubles
# the host time of dispatch (measured: 6.4 instead of 3.0 us beside a plain call), and this op has no gradient.
torch.library.define(NAME, SCHEMA, tags=torch.Tag.pt2_compliant_tag)
torch.library.impl(NAME, "default", _real)
torch.library.register_fake(NAME, _fake)

hipb_mm_fp8 = torch.ops.hipbmm.hipb_mm_fp8.default
"""hipb_mm_fp8(a, b, a_scale, b_scale, bias=None, out_dtype=torch.bfloat16, solution_index=-1) -> Tensor [M, N].

a: FP8 [M, K], contiguous. b: `shuffle(weight)`, FP8 [K, N] with strides (1, K). a_scale: float32 (M, 1) or one
element. b_scale: float32 (1, N) or one element. bias: [N] or None. With online tuning on and M <= 512, AITER overrides
`solution_index` by its table; time an index with HIP_ONLINE_TUNING unset. Raises ValueError on a wrong layout and
RuntimeError when hipBLASLt has no solution (M > 512 only, AITER #2252); a HIP error ends the process (AITER).
"""
