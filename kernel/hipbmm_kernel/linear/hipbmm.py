"""vLLM's HIPBMM kernel: AITER's hipBLASLt GEMM on pre-shuffled FP8 weights, with online tuning."""

from collections.abc import Mapping

import torch

from hipbmm_kernel.linear import eligibility, gate
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.interface import Fp8LinearKernel, LinearConfig, ptpc_bfloat16
from hipbmm_kernel.linear.op import hipb_mm_fp8, load_aiter, shuffle, transpose_scale
from hipbmm_kernel.linear.probe import probe


class AiterHipbMMPerTokenFp8ScaledMMLinearKernel(Fp8LinearKernel):
    """`hipb_mm` with the weight shuffled and transposed when it is loaded; reasons and order are vLLM 0.23.0's."""

    multiply = staticmethod(hipb_mm_fp8)
    prepare = staticmethod(gate.forward_online_tuning)
    trial = staticmethod(probe)

    @staticmethod
    def unsupported(platform: Platform, environ: Mapping[str, str]) -> str | None:
        """ROCm, the three flags on an MI3xx, and an AITER that has `hipb_mm`."""
        reason = gate.refusal(platform, environ)
        if reason is not None:
            return reason
        try:
            module = load_aiter()
        except Exception:  # noqa: BLE001 - AITER loads and may build compiled code: any error means "not here"
            return gate.NO_AITER
        return None if hasattr(module, "hipb_mm") else gate.NO_HIPB_MM

    @staticmethod
    def refusal(config: LinearConfig) -> str | None:
        """`shuffle_weight` wants K % 32 == 0, vLLM's gate only K % 16 == 0: vLLM dies at load, this chain moves on."""
        reason = ptpc_bfloat16(config)
        if reason is not None or config.weight_shape is None:
            return reason
        return eligibility.shuffle_reason(*config.weight_shape)

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return shuffle(weight.t()), transpose_scale(scale)
