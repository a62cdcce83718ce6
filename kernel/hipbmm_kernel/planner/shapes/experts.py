"""Mixtures of experts with grouped-query attention. Experts are fused kernels and never linears; shared experts are."""

from collections.abc import Iterator

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import Model, Module

_SHARED = "shared_expert_intermediate_size"


def mixtral(model: Model) -> Iterator[Module]:
    """Mixtral: only the attention is linear; the gate runs unquantised."""
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn")


def gpt_oss(model: Model) -> Iterator[Module]:
    """gpt-oss: a bias on both sides of the attention; key-value heads are split, not replicated (vLLM fails there)."""
    fields = model.fields
    model.split("num_key_value_heads", fields.size("num_key_value_heads"))
    model.split("intermediate_size", fields.size("intermediate_size"))
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=True, o_bias=True)


def llama4(model: Model) -> Iterator[Module]:
    """Llama 4: every `interleave_moe_layer_step`-th layer has experts and a shared expert of `intermediate_size`.

    Dense layers use `intermediate_size_mlp`. vLLM's class has no bias, whatever `attention_bias` says.
    """
    fields = model.fields.with_defaults(num_attention_heads=40, num_key_value_heads=8, head_dim=128)
    model = model._replace(fields=fields)
    step = fields.count("interleave_moe_layer_step", 1)
    replicated = model.parallel.replicated_experts
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn")
        if step and (layer + 1) % step == 0:
            size = fields.size("intermediate_size")
            expert = f"{path}.feed_forward.shared_expert"
            yield from blocks.gated_mlp(model, expert, "intermediate_size", size, replicated=replicated)
        else:
            size = fields.size("intermediate_size_mlp")
            yield from blocks.gated_mlp(model, f"{path}.feed_forward", "intermediate_size_mlp", size)


def qwen2_moe(model: Model) -> Iterator[Module]:
    """Qwen2-MoE: attention as Qwen2, experts with one shared expert beside them; vLLM's class asks no flag for bias."""
    return _qwen_moe(model, qkv_bias=True, gate=False)


def qwen3_moe(model: Model) -> Iterator[Module]:
    """Qwen3-MoE: the router gate is built with the quantisation config, unlike every other family's."""
    return _qwen_moe(model, qkv_bias=model.fields.flag("attention_bias", False), gate=True)


def _qwen_moe(model: Model, *, qkv_bias: bool, gate: bool) -> Iterator[Module]:
    """Layers with experts have perhaps a gate and a shared expert that are linears, the others a dense MLP."""
    fields = model.fields
    experts = fields.count("num_experts") or fields.count("num_local_experts")  # transformers 5 writes the latter
    shared = fields.count(_SHARED)
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=qkv_bias)
        if not blocks.is_sparse(model, layer, experts):
            yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", fields.size("intermediate_size"))
            continue
        if gate:
            yield Module(f"{path}.mlp.gate", experts, model.hidden, parts=("gate",))
        if shared:
            yield from blocks.gated_mlp(model, f"{path}.mlp.shared_expert", _SHARED, shared)
