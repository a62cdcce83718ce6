"""Llama 1 to 3, Mistral (dense) and what is built from vLLM's LlamaForCausalLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = ()


def modules(model: Model) -> Iterator[Module]:
    """Every layer is alike."""
    fields = model.fields
    o_bias = fields.flag("attention_bias", False) or fields.flag("bias", False)
    qkv_bias = fields.flag("qkv_bias", o_bias)
    mlp_bias = fields.flag("mlp_bias", False)
    size = fields.size("intermediate_size")
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=qkv_bias, o_bias=o_bias)
        yield from blocks.gated_mlp(model, f"layers.{layer}.mlp", "intermediate_size", size, bias=mlp_bias)
