"""vLLM's HIPBMM kernel: AITER's hipBLASLt GEMM on pre-shuffled FP8 weights, with online tuning."""

from collections.abc import Mapping, MutableMapping

import torch

from hipbmm_kernel.linear import eligibility, gate
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.interface import Answer, Fp8LinearKernel, LinearConfig, ptpc_bfloat16
from hipbmm_kernel.linear.op import hipb_mm_fp8, load_aiter
from hipbmm_kernel.linear.probe import probe
from hipbmm_kernel.linear.weights import shuffle, transpose_scale


class AiterHipbMMPerTokenFp8ScaledMMLinearKernel(Fp8LinearKernel):
    """`hipb_mm` with the weight shuffled and transposed when it is loaded; reasons and order are vLLM 0.23.0's."""

    multiply = staticmethod(hipb_mm_fp8)

    @classmethod
    def is_supported(cls, platform: Platform, environ: Mapping[str, str]) -> Answer:
        """ROCm, the three flags on an MI3xx, and an AITER that has `hipb_mm`."""
        reason = gate.refusal(platform, environ)
        if reason is not None:
            return False, reason
        try:
            module = load_aiter()
        except Exception:  # noqa: BLE001 - AITER loads and may build compiled code: any error means "not here"
            return False, gate.NO_AITER
        if not hasattr(module, "hipb_mm"):
            return False, gate.NO_HIPB_MM
        return True, None

    @classmethod
    def can_implement(cls, config: LinearConfig) -> Answer:
        """The planner's own predicate (`eligibility.can_implement`), so that plan and layer agree."""
        return ptpc_bfloat16(config)

    @classmethod
    def can_load(cls, config: LinearConfig) -> Answer:
        """`shuffle_weight` wants K % 32 == 0, vLLM's gate only K % 16 == 0: vLLM dies at load, this chain moves on."""
        if config.weight_shape is None:
            return False, eligibility.NO_SHAPE
        reason = eligibility.shuffle_reason(*config.weight_shape)
        return reason is None, reason

    @classmethod
    def prepare(cls, platform: Platform, environ: MutableMapping[str, str]) -> None:
        """Online tuning must be switched on before hipBLASLt starts."""
        gate.forward_online_tuning(platform, environ)

    @classmethod
    def can_run(cls, device: torch.device, dtype: torch.dtype) -> Answer:
        """One GEMM above the tuning limit, compared with fp32: some stacks have no swizzled solution."""
        reason = probe(device, dtype)
        return reason is None, reason

    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return shuffle(weight.t()), transpose_scale(scale)
