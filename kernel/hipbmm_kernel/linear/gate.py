"""When vLLM's HIPBMM path is on: three flags and an MI3xx GPU, and the switch for AITER's online tuning.

Read off vLLM 0.23.0 (`_aiter_ops.py`, `platforms/rocm.py`). Importing this module imports no torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hipbmm_kernel.contract.settings import ONLINE_TUNING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    import torch

FLAGS = ("VLLM_ROCM_USE_AITER", "VLLM_ROCM_USE_AITER_LINEAR", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM")
"""All three must be on. vLLM's default of the second is on, of the other two off."""

ON_BY_DEFAULT = frozenset({"VLLM_ROCM_USE_AITER_LINEAR"})

MI3XX = ("gfx942", "gfx950")

NOT_ROCM = "requires ROCm."
FLAGS_MISSING = (
    "requires setting `VLLM_ROCM_USE_AITER=1`, `VLLM_ROCM_USE_AITER_LINEAR=1`, "
    "and `VLLM_ROCM_USE_AITER_LINEAR_HIPBMM=1`."
)
NO_AITER = "requires aiter library to be installed."
NO_HIPB_MM = "requires aiter hipb_mm support."


@dataclass(frozen=True)
class Platform:
    """What the gate asks of a device: whether ROCm drives it, and its GPU architecture (`gfx942`; None without GPU)."""

    rocm: bool
    arch: str | None

    @property
    def mi3xx(self) -> bool:
        """True for MI300X, MI300A, MI308X, MI325X, MI350X, MI355X. Features (`:sramecc+:xnack-`) do not count."""
        return self.rocm and self.arch is not None and self.arch.split(":")[0] in MI3XX


def current_platform(device: torch.device | None = None) -> Platform:
    """The platform of `device` (default: the current GPU) as PyTorch sees it. No GPU is `Platform(rocm, None)`."""
    import torch  # noqa: PLC0415 - the gate itself is used without torch

    rocm = torch.version.hip is not None
    on_gpu = device is None or device.type == "cuda"
    if not rocm or not on_gpu or not torch.cuda.is_available():
        return Platform(rocm, None)
    return Platform(rocm, torch.cuda.get_device_properties(device).gcnArchName)


def flag(environ: Mapping[str, str], name: str) -> bool:
    """The value of one of `FLAGS` as vLLM reads it: `1` and `true` in any case are on, everything else is off."""
    return environ.get(name, str(name in ON_BY_DEFAULT)).lower() in {"1", "true"}


def refusal(platform: Platform, environ: Mapping[str, str]) -> str | None:
    """Why the path is off here, in vLLM's words, or None when it is on.

    vLLM gives the message about the flags also when they are all set but the GPU is no MI3xx; that case is named here.
    """
    if not platform.rocm:
        return NOT_ROCM
    if not all(flag(environ, name) for name in FLAGS):
        return FLAGS_MISSING
    if not platform.mi3xx:
        return f"requires an MI3xx GPU ({' or '.join(MI3XX)}), received {platform.arch}."
    return None


def forward_online_tuning(platform: Platform, environ: MutableMapping[str, str] = os.environ) -> bool:
    """Set `HIP_ONLINE_TUNING=1` when the path is on, as vLLM does, and say whether tuning is on now.

    Call it before hipBLASLt starts in the process. A value that the user set is kept: a process that only looks rows up
    (the verification of tuned rows, for one) sets it to `0`.
    """
    if refusal(platform, environ) is None:
        environ.setdefault(ONLINE_TUNING, "1")
    return environ.get(ONLINE_TUNING) in {"1", "true"}
