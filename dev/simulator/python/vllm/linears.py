"""The quantised linears of one rank, for dense Llama, Qwen2 and Qwen3 models.

Written from vLLM's layer classes and from nothing of the kernel program's planner, so that a test can hold the two
against each other.
"""

from dataclasses import dataclass
from typing import Any

_ARCHITECTURES = {"LlamaForCausalLM": False, "Qwen2ForCausalLM": True, "Qwen3ForCausalLM": False}  # bias of qkv
_ONLINE = "fp8_per_channel"


class UnsupportedModelError(ValueError):
    """A model this stand-in cannot serve."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Weight [N, K] on one rank; ``count`` modules of the model have this shape under this name."""

    name: str
    N: int
    K: int
    bias: bool
    count: int


def linears(config: dict[str, Any], tensor_parallel: int) -> list[Linear]:
    """The linears of a decoder layer in the order of its forward pass.

    UnsupportedModelError for other models or bad sizes.
    """
    architecture = str((config.get("architectures") or ["?"])[0])
    if architecture not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise UnsupportedModelError(f"the stand-in serves {known}, not {architecture}")
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    heads, kv_heads = int(config["num_attention_heads"]), int(config.get("num_key_value_heads") or 0)
    kv_heads = kv_heads or heads
    head = int(config.get("head_dim") or hidden // heads)
    layers = int(config["num_hidden_layers"])
    if kv_heads < tensor_parallel:
        _divide(tensor_parallel, kv_heads, "the tensor-parallel size by the key-value heads")
        local_kv = 1
    else:
        local_kv = _divide(kv_heads, tensor_parallel, "the key-value heads")
    local_heads = _divide(heads, tensor_parallel, "the attention heads")
    local_inner = _divide(inner, tensor_parallel, "the intermediate size")
    attention_bias = _ARCHITECTURES[architecture] or bool(config.get("attention_bias"))
    output_bias = architecture == "LlamaForCausalLM" and bool(config.get("attention_bias"))
    return [
        Linear("qkv_proj", (local_heads + 2 * local_kv) * head, hidden, attention_bias, layers),
        Linear("o_proj", hidden, local_heads * head, output_bias, layers),
        Linear("gate_up_proj", 2 * local_inner, hidden, bool(config.get("mlp_bias")), layers),
        Linear("down_proj", hidden, local_inner, bool(config.get("mlp_bias")), layers),
    ]


def is_per_token_per_channel(config: dict[str, Any], quantization: str | None) -> bool:
    """Whether weights are FP8 per channel and activations FP8 per token: what the hipBLASLt kernel can run."""
    quantized = config.get("quantization_config")
    if not isinstance(quantized, dict):
        return quantization == _ONLINE
    method = quantized.get("quant_method")
    if method == "compressed-tensors":
        return any(_is_ptpc_group(group) for group in (quantized.get("config_groups") or {}).values())
    if method == "quark":
        whole = quantized.get("global_quant_config") or {}
        weight, tokens = whole.get("weight") or {}, whole.get("input_tensors") or {}
        fp8 = str(weight.get("dtype", "")).startswith("fp8")
        return fp8 and weight.get("qscheme") == "per_channel" and bool(tokens.get("is_dynamic"))
    return False


def _is_ptpc_group(group: dict[str, Any]) -> bool:
    weights, tokens = group.get("weights") or {}, group.get("input_activations") or {}
    eight_bit_float = all((side.get("num_bits"), side.get("type")) == (8, "float") for side in (weights, tokens))
    return (
        eight_bit_float
        and weights.get("strategy") == "channel"
        and tokens.get("strategy") == "token"
        and bool(tokens.get("dynamic"))
    )


def _divide(size: int, parts: int, what: str) -> int:
    if parts < 1 or size % parts:
        raise UnsupportedModelError(f"{what} ({size}) cannot be divided by {parts}")
    return size // parts
