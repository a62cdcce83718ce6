"""The bundled HIPBMM kernel for a vLLM that has none: 0.22, whose chain of FP8 kernels is 0.23's without this one.

An entry point of vLLM's group `vllm.general_plugins`, beside that of the table in memory. It does nothing unless
HIPBMM_KERNEL_PLUGIN is 1, which `exec` sets where `spec.server.plugin` is true, and nothing where vLLM has the kernel.
The class has vLLM's own name for it, so VLLM_DISABLED_KERNELS and the plan mean both.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from hipbmm_kernel.dispatch import plugins
from hipbmm_kernel.linear import gate
from hipbmm_kernel.linear.eligibility import HIPBMM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from hipbmm_kernel.linear.gate import Platform

NAME = "hipbmm_kernel"
"""Of the plugin, as VLLM_PLUGINS names it."""
VARIABLE = "HIPBMM_KERNEL_PLUGIN"
MODULE = "vllm.model_executor.kernels.linear"
CHAIN = "_POSSIBLE_FP8_KERNELS"
BASE = "FP8ScaledMMLinearKernel"
"""Where 0.22.0 and 0.23.0 choose: a module with the class of FP8 kernels and a list of them for each platform."""
logger = logging.getLogger(NAME)


def environment(env: Mapping[str, str], program: str) -> dict[str, str]:
    """The environment of a server whose vLLM finds this plugin: `program` is where `payload` has left it."""
    return {**plugins.with_program(env, program), VARIABLE: "1"}


def register() -> None:
    """Put the kernel before the others, as soon as vLLM has its list. Never raises."""
    if os.environ.get(VARIABLE) != "1":
        return
    try:
        from hipbmm_kernel.dispatch.plugin import when_imported  # noqa: PLC0415 - only a server of its own needs it

        when_imported(MODULE, install)
    except Exception as error:  # noqa: BLE001 - a plugin of ours must not keep a server from starting
        logger.warning("hipbmm kernel: not registered: %s: %s", type(error).__name__, error)


def install(module: ModuleType) -> None:
    """Put the kernel into the chain of the imported `module`; a second time, or beside vLLM's own, nothing."""
    if hasattr(module, HIPBMM):
        logger.info("hipbmm kernel: this vLLM has the kernel itself")
        return
    platforms = importlib.import_module("vllm.platforms")
    try:
        chain, base = getattr(module, CHAIN)[platforms.PlatformEnum.ROCM], getattr(module, BASE)
    except (AttributeError, KeyError) as error:
        logger.warning("hipbmm kernel: not registered: this vLLM has no chain that is known: %s", error)
        return
    made = kernel_class(base)
    chain.insert(0, made)
    setattr(module, HIPBMM, made)
    logger.info("hipbmm kernel: registered before %s", chain[1].__name__ if len(chain) > 1 else "nothing")


def platform() -> Platform:
    """The platform as vLLM has found it out, without opening a GPU."""
    platforms = importlib.import_module("vllm.platforms")
    if not platforms.current_platform.is_rocm():
        return gate.Platform(rocm=False, arch=None)
    rocm = importlib.import_module("vllm.platforms.rocm")
    return gate.Platform(rocm=True, arch=next((arch for arch in gate.MI3XX if getattr(rocm, f"on_{arch}")()), None))


def kernel_class(base: Any) -> Any:  # noqa: ANN401 - vLLM's classes, which exist in its image only
    """The bundled kernel in the form of vLLM's; `base` is vLLM's class of FP8 kernels."""
    from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as Bundled  # noqa: PLC0415
    from hipbmm_kernel.linear.interface import LinearConfig  # noqa: PLC0415 - torch is there by now

    def judged(config: Any) -> LinearConfig:  # noqa: ANN401 - FP8ScaledMMLinearLayerConfig
        token = config.activation_quant_key.scale.group_shape.is_per_token()
        channel = config.weight_quant_key.scale.group_shape.is_per_channel()
        shape, dtype = config.weight_shape, config.out_dtype
        return LinearConfig(shape, dtype, "token" if token else "tensor", "channel" if channel else "tensor")

    class Kernel(base):  # type: ignore[misc] # vLLM's
        @classmethod
        def is_supported(cls, compute_capability: int | None = None) -> tuple[bool, str | None]:
            """ROCm, the three flags on an MI3xx, and an AITER that has `hipb_mm`."""
            del compute_capability
            reason = Bundled.unsupported(platform(), os.environ)
            return reason is None, reason

        @classmethod
        def can_implement(cls, c: Any) -> tuple[bool, str | None]:  # noqa: ANN401 - as above
            """As vLLM 0.23, and K % 32 == 0, without which AITER ends the server while it loads."""
            reason = Bundled.refusal(judged(c))
            return reason is None, reason

        def __init__(self, c: Any, layer_param_names: Sequence[str]) -> None:  # noqa: ANN401 - as above
            super().__init__(c, layer_param_names)
            self.bundled = Bundled(judged(c))
            Bundled.prepare(platform(), os.environ)

        def process_weights_after_loading(self, layer: Any) -> None:  # noqa: ANN401 - a module
            """Shuffle the weight and turn its scale, once."""
            self.bundled.process_weights_after_loading(layer)

        def apply_scaled_mm(self, **arguments: Any) -> Any:  # noqa: ANN401 - tensors, under vLLM's keywords
            """The product."""
            return self.bundled.apply_scaled_mm(**arguments)

    Kernel.__name__ = Kernel.__qualname__ = HIPBMM
    return Kernel
