"""The function in the place of `aiter.hipb_mm`.

vLLM calls it from one place, by keyword, with solution_index=-1, bpreshuffle=True and row-wise scales, and imports it
at each call (`_aiter_ops.py`, 0.23.0 to 0.33.0). With HIP_ONLINE_TUNING unset and an index given, AITER takes the path
of a row that it found in its file: getAlgosFromIndex, then the GEMM (`gradlib/csrc/hipbsolgemm.cu`, e404860).
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import MAX_M

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

    from hipbmm_kernel.dispatch.recorder import Recorder
    from hipbmm_kernel.dispatch.table import Entry

    HipbMm = Callable[..., torch.Tensor]
    Known = Callable[[tuple[object, ...]], tuple[int, int] | None]

HEURISTIC = -1
PARAMETERS = ("mat1", "mat2", "solution_index", "bias", "out_dtype", "scaleA", "scaleB", "scaleOut", "bpreshuffle")
"""Of `aiter.hipb_mm` in every release that has it (v0.1.10.post2 on); newer ones add `use_gelu` behind them."""
POSITIONAL = PARAMETERS[:3]
DEFAULTS = {"solution_index": HEURISTIC}
"""Of the wrapper; None for the others."""


def fits(function: HipbMm) -> bool:
    """Whether `function` takes the parameters that the wrapper hands on, in this order, by name, with these defaults.

    What is behind them must have a default: the wrapper gives none when its caller gives none.
    """
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    ours, rest = found[: len(PARAMETERS)], found[len(PARAMETERS) :]
    by_position = [each.kind is each.POSITIONAL_OR_KEYWORD or each.name in POSITIONAL for each in ours]
    same = [each.default in (each.empty, DEFAULTS.get(each.name)) for each in ours]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    optional = [each.kind in variadic or each.default is not each.empty for each in rest]
    return tuple(each.name for each in ours) == PARAMETERS and all([*by_position, *same, *optional])


def make(
    inner: HipbMm, entries: Iterable[Entry], device: int, dtypes: tuple[torch.dtype, torch.dtype], recorder: Recorder
) -> HipbMm:
    """`inner` (aiter.hipb_mm) with the index of each entry. `dtypes`: of the operands (FP8) and of the result (bf16).

    On other devices, and for calls of another kind, it is `inner`. One look-up per call: the key is made of what torch
    gives at once. A shape costs an object and its hash, so N is read from the scales, one for each column of `mat2`.
    Exact sizes return what `inner` returns; a padded call returns the first M rows of it, a view with the strides of
    an [M, N] tensor.
    """
    known = _by_shape(entries, *dtypes)
    return _serving(inner, known.get, device, recorder, functools.partial(_missed, dtypes, recorder.missed))


def _serving(inner: HipbMm, known: Known, device: int, recorder: Recorder, missed: Callable[..., None]) -> HipbMm:
    """The function itself; `missed` notes a call that has no entry."""
    verified, padded, heuristic = (tick.__next__ for tick in recorder.ticks)

    def hipb_mm(
        mat1: torch.Tensor,
        mat2: torch.Tensor,
        solution_index: int = HEURISTIC,
        bias: torch.Tensor | None = None,
        out_dtype: torch.dtype | None = None,
        scaleA: torch.Tensor | None = None,  # noqa: N803 - AITER's name
        scaleB: torch.Tensor | None = None,  # noqa: N803 - same
        scaleOut: torch.Tensor | None = None,  # noqa: N803 - same
        bpreshuffle: bool | None = None,
        **rest: object,
    ) -> torch.Tensor:
        if (
            solution_index != HEURISTIC
            or not bpreshuffle
            or scaleA is None
            or scaleB is None
            or scaleOut is not None
            or rest
            or mat1.get_device() != device
        ):
            scales = {"scaleA": scaleA, "scaleB": scaleB, "scaleOut": scaleOut}
            others = {"bias": bias, "out_dtype": out_dtype, "bpreshuffle": bpreshuffle}
            return inner(mat1, mat2, solution_index, **scales, **others, **rest)
        entry = known((mat1.shape, scaleA.numel(), scaleB.numel(), mat1.dtype, out_dtype, bias is None))
        index, rows = entry or (HEURISTIC, 0)
        if entry is None:
            heuristic()
            missed(mat1, mat2, scaleB, out_dtype, biased=bias is not None)
        elif rows:
            padded()
            m = mat1.shape[0]
            wide, scale = _widened(mat1, scaleA, rows)
            return inner(
                wide, mat2, index, bias=bias, out_dtype=out_dtype, scaleA=scale, scaleB=scaleB, bpreshuffle=True
            )[:m]
        else:
            verified()
        return inner(mat1, mat2, index, bias=bias, out_dtype=out_dtype, scaleA=scaleA, scaleB=scaleB, bpreshuffle=True)

    return hipb_mm


def _widened(mat1: torch.Tensor, scale: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens and their scales with so many rows.

    Those behind M are never read by anybody: a row of the result depends on its own row alone.
    """
    m = mat1.shape[0]
    wide, scales = mat1.new_empty((rows, mat1.shape[1])), scale.new_empty((rows, 1))
    wide[:m] = mat1
    scales[:m] = scale.reshape(m, 1)
    return wide, scales


def _missed(
    dtypes: tuple[torch.dtype, torch.dtype],
    note: Callable[[tuple[int, int, int, bool]], None],
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    scale_b: torch.Tensor,
    out_dtype: torch.dtype | None,
    *,
    biased: bool,
) -> None:
    """Count a call without an entry, if a later `warm` could tune it."""
    row_wise = scale_b.numel() == mat2.shape[1]
    if row_wise and (mat1.dtype, out_dtype) == dtypes and mat1.shape[0] <= MAX_M:
        note((mat1.shape[0], mat2.shape[1], mat1.shape[1], biased))


def _by_shape(
    entries: Iterable[Entry], operand: torch.dtype, result: torch.dtype
) -> dict[tuple[object, ...], tuple[int, int]]:
    """Key of a call -> (index, tokens to pad to, 0 for none). Equal tuples are shared: 2,000 entries take 1 MB."""
    shared: dict[tuple[int, int], tuple[int, int]] = {}

    def one(a: int, b: int) -> tuple[int, int]:
        return shared.setdefault((a, b), (a, b))

    return {
        (one(e.m, e.k), e.m, e.n, operand, result, not e.bias): one(e.solution, e.padded_m if e.padded_m != e.m else 0)
        for e in entries
    }
