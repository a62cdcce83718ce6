"""Families whose layers are all alike: attention and a gated MLP. They differ in biases and merged weights."""

from collections.abc import Iterator

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import Model, Module


def llama(model: Model) -> Iterator[Module]:
    """Llama 1 to 3, Mistral (dense) and what is built from vLLM's LlamaForCausalLM."""
    fields = model.fields
    o_bias = fields.flag("attention_bias", False) or fields.flag("bias", False)
    qkv_bias = fields.flag("qkv_bias", o_bias)
    mlp_bias = fields.flag("mlp_bias", False)
    size = fields.size("intermediate_size")
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=qkv_bias, o_bias=o_bias)
        yield from blocks.gated_mlp(model, f"layers.{layer}.mlp", "intermediate_size", size, bias=mlp_bias)


def phi3(model: Model) -> Iterator[Module]:
    """Phi-3 and Phi-4: the shapes of Llama, but the checkpoint already stores qkv_proj and gate_up_proj merged."""
    fields = model.fields
    size = fields.size("intermediate_size")
    bias = fields.flag("attention_bias", False)
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=bias, o_bias=bias, qkv_parts=("qkv_proj",))
        yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size, gate_up_parts=("gate_up_proj",))


def qwen2(model: Model) -> Iterator[Module]:
    """Qwen2 and Qwen2.5, with their vision-language text models: a bias on qkv and nowhere else."""
    # vLLM's class does not look at head_dim.
    width = max(model.hidden // model.fields.size("num_attention_heads"), 1)
    return _qwen(model, qkv_bias=True, width=width)


def qwen3(model: Model) -> Iterator[Module]:
    """Qwen3 (dense): no bias by default, and a head_dim of its own, which is 128 where a config.json leaves it out."""
    width = model.fields.size_or("head_dim", 128)
    return _qwen(model, qkv_bias=model.fields.flag("attention_bias", False), width=width)


def _qwen(model: Model, *, qkv_bias: bool, width: int) -> Iterator[Module]:
    size = model.fields.size("intermediate_size")
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=qkv_bias, width=width)
        yield from blocks.gated_mlp(model, f"layers.{layer}.mlp", "intermediate_size", size)
