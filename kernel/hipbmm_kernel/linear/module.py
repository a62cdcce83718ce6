"""`HipbMMLinear`: an FP8 linear for a plain PyTorch model, served by the HIPBMM kernel where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hipbmm_kernel.linear.chain import select_kernel
from hipbmm_kernel.linear.gate import current_platform
from hipbmm_kernel.linear.interface import LinearConfig
from hipbmm_kernel.linear.quantise import FNUZ, OCP, fp8_dtype, per_channel, to_fnuz

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack  # Python 3.11, and only for the type checker

    from hipbmm_kernel.linear.chain import Options


class HipbMMLinear(torch.nn.Module):  # type: ignore[misc] # torch is not installed where types are checked
    """y = x W^T + b with an FP8 weight (one scale per output feature) and activations quantised per token at run time.

    Build it with `from_linear` or `from_checkpoint`, on the device where it will run: the weight is put into the chosen
    kernel's layout at once. `selection` names the chosen kernel, and why others refused. Input [..., K] of any
    floating type, output [..., N] bfloat16. For inference only. Its tensors are not part of `state_dict`, because their
    layout is the kernel's: the checkpoint stays the source of the weights. Casts (`.half()`) leave them as they are;
    moving to another device raises RuntimeError.
    """

    weight: torch.Tensor
    weight_scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self,
        weight: torch.Tensor,
        weight_scale: torch.Tensor,
        bias: torch.Tensor | None = None,
        **options: Unpack[Options],
    ) -> None:
        """weight: FP8 [N, K] of the device's own FP8 type, weight_scale: float (N, 1), bias: [N] or None."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        config = LinearConfig((self.out_features, self.in_features), torch.bfloat16)
        self.selection = select_kernel(config, weight.device, weight.dtype, **options)
        self.kernel = self.selection.kernel(config)
        self.register_buffer("weight", weight.detach().t(), persistent=False)
        self.register_buffer("weight_scale", weight_scale.detach().to(torch.float32), persistent=False)
        bias = None if bias is None else bias.detach().to(torch.bfloat16)
        self.register_buffer("bias", bias, persistent=False)
        self.kernel.process_weights_after_loading(self)

    @classmethod
    def from_linear(cls, linear: torch.nn.Linear, **options: Unpack[Options]) -> HipbMMLinear:
        """Quantise a float linear per output feature; the linear itself is left as it is."""
        options.setdefault("platform", current_platform(linear.weight.device))
        weight, scale = per_channel(linear.weight.detach(), fp8_dtype(options["platform"].arch))
        return cls(weight, scale, linear.bias, **options)

    @classmethod
    def from_checkpoint(
        cls,
        weight: torch.Tensor,
        weight_scale: torch.Tensor,
        bias: torch.Tensor | None = None,
        **options: Unpack[Options],
    ) -> HipbMMLinear:
        """Take the tensors of an FP8 checkpoint: weight FP8 [N, K], weight_scale (N, 1) or (N,), bias [N] or None.

        Checkpoints hold e4m3fn; on gfx94x the weight is converted to e4m3fnuz. Raises ValueError for other types and
        shapes (a scale per tensor or per block is not this kernel's).
        """
        options.setdefault("platform", current_platform(weight.device))
        if weight.ndim != 2 or weight.dtype not in {OCP, FNUZ}:  # noqa: PLR2004 - a matrix
            raise ValueError(f"weight must be an FP8 matrix [N, K], received {weight.dtype} {list(weight.shape)}")
        n = weight.shape[0]
        if weight_scale.shape not in {(n,), (n, 1)}:
            raise ValueError(f"weight_scale must be ({n},) or ({n}, 1), received {list(weight_scale.shape)}")
        if bias is not None and bias.shape != (n,):
            raise ValueError(f"bias must be ({n},), received {list(bias.shape)}")
        scale = weight_scale.reshape(n, 1).to(torch.float32)
        native = fp8_dtype(options["platform"].arch)
        if weight.dtype is not native:
            if native is not FNUZ:
                raise ValueError(f"weight must be {native} on {options['platform'].arch}, received {weight.dtype}")
            weight, scale = to_fnuz(weight, scale)
        return cls(weight, scale, bias, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] to [..., N]. Raises RuntimeError when a gradient is asked for."""
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError("HipbMMLinear is for inference: FP8 quantisation has no gradient")
        return self.kernel.apply_weights(self, x, self.bias)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        name = self.selection.kernel.__name__
        return f"in_features={self.in_features}, out_features={self.out_features}, kernel={name}"

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> HipbMMLinear:
        """Called by `.to()`, `.cuda()`, `.half()`. The default would cast FP8 values and scales."""
        del recurse  # there are no submodules
        target = fn(torch.empty(0, device=self.weight.device)).device
        if target != self.weight.device:
            raise RuntimeError(
                f"HipbMMLinear is laid out for {self.weight.device}: build it on {target} instead of moving it"
            )
        return self
