"""The linears with weights.

One per distinct shape of the model, with random FP8 values, called as vLLM's kernel calls hipb_mm.
"""

import importlib.util
from dataclasses import dataclass

import torch
from aiter_simulator import faults

from vllm import rocm
from vllm.linears import Linear
from vllm.log import LOGGER

_OTHER_KERNEL = "RowWiseTorchFP8ScaledMMLinearKernel"
_MODULE = "CompressedTensorsW8A8Fp8"
_DUMMY_CODE = 0x38  # 0.5 or 1.0 in the FP8 types: any finite value serves


@dataclass(frozen=True, slots=True)
class LoadedLinear:
    """A weight [K, N] as the kernel wants it (swizzled, transposed view), its scales [1, N] and bias [N]."""

    linear: Linear
    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def forward(self, tokens: torch.Tensor, token_scale: torch.Tensor) -> torch.Tensor:
        """FP8 tokens [M, K] with scales [M, 1] to bf16 [M, N]."""
        import aiter  # noqa: A004, PLC0415 - as vLLM: only where the kernel runs

        return aiter.hipb_mm(
            tokens,
            self.weight,
            solution_index=-1,
            bias=self.bias,
            out_dtype=torch.bfloat16,
            scaleA=token_scale,
            scaleB=self.scale,
            scaleOut=None,
            bpreshuffle=True,
        )


@dataclass(frozen=True, slots=True)
class Rank:
    """Rank 0 of the model: the linears that go through hipb_mm (none when another kernel was selected)."""

    loaded: tuple[LoadedLinear, ...]

    def step(self, tokens: int) -> None:
        """One forward pass of ``tokens`` dummy tokens through each distinct linear; raises what hipb_mm raises."""
        for item in self.loaded:
            x = torch.full((tokens, item.linear.K), _DUMMY_CODE, dtype=torch.uint8).view(item.weight.dtype)
            item.forward(x, torch.ones(tokens, 1))


def load(chosen: list[Linear], *, quantized: bool) -> Rank:
    """Select a kernel for each linear and load the weights of those that go to hipb_mm."""
    enabled = rocm.hipbmm_enabled() and not rocm.kernel_disabled() and quantized
    selected = [linear for linear in chosen if enabled and _can_implement(linear)]
    if not selected:
        LOGGER.info("Selected %s for %s", _OTHER_KERNEL, _MODULE)
        return Rank(())
    # As vLLM's _aiter_ops.py: it asks whether there is AITER, and imports it later, where the kernel runs.
    if importlib.util.find_spec("aiter") is None:
        raise ModuleNotFoundError("No module named 'aiter'")
    import aiter  # noqa: A004, PLC0415 - see above

    aiter.hipb_create_extension()
    loaded = []
    for linear in selected:
        LOGGER.info("Selected %s for %s", rocm.KERNEL, f"model.layers.*.{linear.name} ({_MODULE})")
        loaded.append(_load(linear))
    return Rank(tuple(loaded))


def _can_implement(linear: Linear) -> bool:
    """VLLM's can_implement; K % 32 is not asked, so shuffle_weight's assertion can still end the start."""
    return linear.N >= 16 and linear.N % 16 == 0 and linear.K % 16 == 0  # noqa: PLR2004 - one tile


def _load(linear: Linear) -> LoadedLinear:
    from aiter import dtypes  # noqa: PLC0415 - as vLLM: only where the kernel runs
    from aiter.ops.shuffle import shuffle_weight  # noqa: PLC0415 - same

    faults.strike(on="load", N=linear.N, K=linear.K)
    generator = torch.Generator().manual_seed(linear.N * 1_000_003 + linear.K)
    # Positive finite codes only: a pattern of NaN among random bytes would make every result NaN.
    codes = torch.randint(0, 0x78, (linear.N, linear.K), dtype=torch.uint8, generator=generator)
    weight = shuffle_weight(codes.view(dtypes.fp8), layout=(16, 16))
    bias = torch.zeros(linear.N, dtype=torch.bfloat16) if linear.bias else None
    return LoadedLinear(linear, weight.t(), torch.full((1, linear.N), 0.01), bias)
