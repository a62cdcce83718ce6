"""What only a real GPU shows of the linear library, on a GPU of any make (`tests/device/run.sh`).

AITER exists for AMD GPUs only, so here the op calls a stand-in that multiplies with `torch._scaled_mm`: registration,
tracing, compilation and graph capture are the op's own and real; the GEMM behind it is PyTorch's.
"""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from hipbmm_kernel.linear import op, probe
from hipbmm_kernel.linear.gate import FLAGS, Platform

if not torch.cuda.is_available():
    collect_ignore_glob = ["test_*.py"]


def scaled_mm(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    solution_index: int,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    scaleA: torch.Tensor | None = None,  # noqa: N803 - AITER's name
    scaleB: torch.Tensor | None = None,  # noqa: N803 - same
    scaleOut: torch.Tensor | None = None,  # noqa: N803 - same
    bpreshuffle: bool | None = None,
) -> torch.Tensor:
    """PyTorch's row-wise GEMM with AITER's parameters."""
    return torch._scaled_mm(mat1, mat2, scale_a=scaleA, scale_b=scaleB, bias=bias, out_dtype=out_dtype)


class StandIn(ModuleType):
    """`aiter` as far as the library calls it. Counts how often the extension was created, and on which device."""

    def __init__(self) -> None:
        super().__init__("aiter")
        self.created_on: list[int] = []

    def hipb_create_extension(self) -> None:
        """Note the current device."""
        self.created_on.append(torch.cuda.current_device())

    @staticmethod
    def hipb_mm(
        mat1: torch.Tensor,
        mat2: torch.Tensor,
        solution_index: int,
        *,
        bias: torch.Tensor | None,
        out_dtype: torch.dtype,
        scaleA: torch.Tensor,  # noqa: N803 - AITER's name
        scaleB: torch.Tensor,  # noqa: N803 - AITER's name
        scaleOut: torch.Tensor | None,  # noqa: N803 - AITER's name
        bpreshuffle: bool,
    ) -> torch.Tensor:
        """The product, with the arguments that the op always gives; every index is the same kernel here."""
        assert solution_index >= -1
        assert (scaleOut, bpreshuffle) == (None, True)
        return torch._scaled_mm(mat1, mat2, scale_a=scaleA, scale_b=scaleB, bias=bias, out_dtype=out_dtype)


def _shuffle_weight(weight: torch.Tensor, layout: tuple[int, int]) -> torch.Tensor:
    """No shuffle: PyTorch's GEMM wants the plain layout."""
    assert layout == (16, 16)
    return weight.clone()


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def aiter_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    module, ops, shuffle = StandIn(), ModuleType("aiter.ops"), ModuleType("aiter.ops.shuffle")
    shuffle.shuffle_weight = _shuffle_weight  # type: ignore[attr-defined]
    for each in (module, ops, shuffle):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    op._extensions.clear()
    probe.probe.cache_clear()
    yield module
    op._extensions.clear()
    probe.probe.cache_clear()


@pytest.fixture
def as_mi300x() -> dict[str, object]:
    """Options that open the gate; the FP8 type stays the device's own."""
    return {"platform": Platform(rocm=True, arch="gfx950"), "environ": dict.fromkeys(FLAGS, "1")}
