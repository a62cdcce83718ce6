"""What a linear kernel must answer to be chosen, and what it does once it is: the interface of vLLM's FP8 kernels."""

import abc
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.quantise import per_token

Granularity = Literal["token", "channel", "tensor"]


@dataclass(frozen=True)
class LinearConfig:
    """A linear as a kernel judges it.

    weight_shape: (N, K), or None when unknown. out_dtype: type of the result. activation, weight: what shares a scale.
    """

    weight_shape: tuple[int, int] | None
    out_dtype: torch.dtype
    activation: Granularity = "token"
    weight: Granularity = "channel"


class Fp8LinearKernel(abc.ABC):
    """One way to multiply FP8 activations by an FP8 weight.

    It is asked in this order why it cannot be used, None if it can: `unsupported` (the machine), `refusal` (the
    linear), `trial` (on the device). A layer holds its `weight` as the [K, N] view of the checkpoint's [N, K] tensor,
    as vLLM's do, and its `weight_scale` as (N, 1).
    """

    multiply: ClassVar[Callable[..., torch.Tensor]]
    """The product [M, N] of `(a, b, a_scale, b_scale, bias, out_dtype)`, b and its scale in the kernel's layout."""

    def __init__(self, config: LinearConfig) -> None:
        self.config = config
        self._loaded: torch.Tensor | None = None

    @staticmethod
    def unsupported(platform: Platform, environ: Mapping[str, str]) -> str | None:  # noqa: ARG004 - most take any
        """Why this machine and process cannot use the kernel."""
        return None

    @staticmethod
    def refusal(config: LinearConfig) -> str | None:  # noqa: ARG004 - the same
        """Why the kernel cannot compute this linear, or cannot load its weight."""
        return None

    @staticmethod
    def prepare(platform: Platform, environ: MutableMapping[str, str]) -> object:  # noqa: ARG004 - the same
        """Settings to be made before the library behind the kernel starts. Called once the linear is accepted."""
        return None

    @staticmethod
    def trial(device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG004 - the same
        """Why a product on `device` with FP8 type `dtype` is not right."""
        return None

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Bring the layer's weight and scale into the kernel's layout, once.

        A second call on the same weight would transpose and shuffle it again and make every result wrong, without an
        error, since the shapes stay plausible; so it raises RuntimeError. New weights may be processed.
        """
        if self._loaded is layer.weight:
            raise RuntimeError("the weights of this layer are in the kernel's layout already")
        weight, scale = self._to_layout(layer.weight, layer.weight_scale)
        replace_tensor(layer, "weight", weight)
        replace_tensor(layer, "weight_scale", scale)
        self._loaded = layer.weight

    @abc.abstractmethod
    def _to_layout(self, weight: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The kernel's form of a weight, given as [K, N] view, and of its scale (N, 1)."""

    def apply_weights(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """`x` [..., K] times the layer's weight, plus bias [N]: [..., N] of the config's out_dtype."""
        weight, scale = layer.weight, layer.weight_scale
        a, a_scale = per_token(x.reshape(-1, x.shape[-1]), weight.dtype)
        return self.apply_scaled_mm(
            A=a, B=weight, out_dtype=self.config.out_dtype, As=a_scale, Bs=scale, bias=bias, output_shape=x.shape
        )

    def apply_scaled_mm(
        self,
        *,
        A: torch.Tensor,  # noqa: N803 - vLLM's keyword
        B: torch.Tensor,  # noqa: N803 - vLLM's keyword
        out_dtype: torch.dtype,
        As: torch.Tensor,  # noqa: N803 - vLLM's keyword
        Bs: torch.Tensor,  # noqa: N803 - vLLM's keyword
        bias: torch.Tensor | None,
        output_shape: Sequence[int],
    ) -> torch.Tensor:
        """A [M, K] times B in the kernel's layout; `output_shape` with its last size replaced by N."""
        return self.multiply(A, B, As, Bs, bias, out_dtype).view(*output_shape[:-1], B.shape[1])


def replace_tensor(layer: torch.nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Put `tensor` in the place of the layer's parameter or buffer `name`, as what it was."""
    if name in dict(layer.named_parameters(recurse=False)):
        delattr(layer, name)
        layer.register_parameter(name, torch.nn.Parameter(tensor, requires_grad=False))
    else:
        setattr(layer, name, tensor)


def ptpc_bfloat16(config: LinearConfig) -> str | None:
    """The planner's own predicate (`eligibility.can_implement`), so that plan and layer agree."""
    n, k = config.weight_shape or (None, None)
    dtype = str(config.out_dtype).removeprefix("torch.")
    return eligibility.can_implement(n, k, dtype, config.activation == "token", config.weight == "channel")
