"""vLLM's switch for the hipBLASLt kernel (platforms/rocm.py): three flags and an MI3xx GPU."""

import os

import torch

KERNEL = "AiterHipbMMPerTokenFp8ScaledMMLinearKernel"
_FLAGS = (
    ("VLLM_ROCM_USE_AITER", "0"),
    ("VLLM_ROCM_USE_AITER_LINEAR", "1"),
    ("VLLM_ROCM_USE_AITER_LINEAR_HIPBMM", "0"),
)


def on_mi3xx() -> bool:
    """Whether the first GPU is of the CDNA3 or CDNA4 generation."""
    if not torch.cuda.is_available():
        return False
    arch = torch.cuda.get_device_properties(0).gcnArchName
    return any(name in arch for name in ("gfx942", "gfx950"))


def hipbmm_enabled() -> bool:
    """All three flags are on (1 or true), and the GPU is an MI3xx."""
    return all(os.environ.get(name, default).lower() in {"1", "true"} for name, default in _FLAGS) and on_mi3xx()


def prepare_environment() -> None:
    """As vLLM does on import: with the kernel enabled, online tuning is on, whatever the environment says."""
    if hipbmm_enabled():
        os.environ["HIP_ONLINE_TUNING"] = "1"


def kernel_disabled() -> bool:
    """Whether VLLM_DISABLED_KERNELS names the kernel, or VLLM_BATCH_INVARIANT leaves it out."""
    invariant = os.environ.get("VLLM_BATCH_INVARIANT", "0").strip() not in {"", "0"}
    return invariant or KERNEL in os.environ.get("VLLM_DISABLED_KERNELS", "").split(",")
