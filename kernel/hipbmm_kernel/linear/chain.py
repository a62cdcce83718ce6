"""The choice of a kernel for a linear: HIPBMM first, PyTorch's kernels after it, and why each refused."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from hipbmm_kernel.linear.gate import current_platform
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel
from hipbmm_kernel.linear.torch_kernels import DequantisedFp8Kernel, RowWiseTorchFp8Kernel

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from typing import Unpack  # Python 3.11, and only for the type checker

    import torch

    from hipbmm_kernel.linear.gate import Platform
    from hipbmm_kernel.linear.interface import Fp8LinearKernel, LinearConfig

CHAIN: tuple[type[Fp8LinearKernel], ...] = (
    AiterHipbMMPerTokenFp8ScaledMMLinearKernel,
    RowWiseTorchFp8Kernel,
    DequantisedFp8Kernel,
)

DISABLED_KERNELS = "VLLM_DISABLED_KERNELS"
"""Comma-separated names of kernel classes that are never chosen, as in vLLM."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """The chosen kernel class, and why those before it refused, by class name in the order of the chain."""

    kernel: type[Fp8LinearKernel]
    refusals: Mapping[str, str]


class Options(TypedDict, total=False):
    """What a choice depends on beside the linear; left out, platform and environ are those of device and process."""

    platform: Platform
    environ: MutableMapping[str, str]
    candidates: Sequence[type[Fp8LinearKernel]]


def select_kernel(
    config: LinearConfig, device: torch.device, dtype: torch.dtype, **options: Unpack[Options]
) -> Selection:
    """The first of the candidates (`CHAIN`) that takes the linear on `device` with FP8 type `dtype`.

    Choosing HIPBMM switches online tuning on in `environ` (`gate.forward_online_tuning`). Raises ValueError with every
    reason when all refuse.
    """
    platform = options.get("platform") or current_platform(device)
    environ = options.get("environ", os.environ)
    refusals: dict[str, str] = {}
    for kernel in options.get("candidates", CHAIN):
        disabled = kernel.__name__ in environ.get(DISABLED_KERNELS, "").split(",")
        reason = "is disabled by environment variable." if disabled else None
        reason = reason or kernel.unsupported(platform, environ) or kernel.refusal(config)
        if reason is None:
            kernel.prepare(platform, environ)
            reason = kernel.trial(device, dtype)
        if reason is None:
            logger.info("Selected %s for %s on %s", kernel.__name__, config.weight_shape, device)
            return Selection(kernel, refusals)
        refusals[kernel.__name__] = reason
    listed = "; ".join(f"{name} {reason}" for name, reason in refusals.items())
    raise ValueError(f"no kernel takes {config}: {listed}")
