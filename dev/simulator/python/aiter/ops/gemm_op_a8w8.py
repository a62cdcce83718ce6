"""What vLLM asks before it takes AITER's CK kernels, which are not simulated: no shape is tuned for them."""

from types import SimpleNamespace

import torch

AITER_CONFIGS = SimpleNamespace(AITER_CONFIG_GEMM_A8W8_BPRESHUFFLE_FILE="", AITER_CONFIG_GEMM_A8W8_FILE="")


def get_GEMM_config_with_quant_type(  # noqa: N802 - AITER's name
    M: int,  # noqa: N803 - AITER's name
    N: int,  # noqa: N803 - same
    K: int,  # noqa: N803 - same
    q_dtype_w: torch.dtype,
    tuned_file: str = "",
) -> None:
    """The row of a tuned shape: there is none."""
    del M, N, K, q_dtype_w, tuned_file
