"""Phi-3 and Phi-4: the shapes of Llama, but the checkpoint already stores qkv_proj and gate_up_proj merged."""

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
    size = fields.size("intermediate_size")
    bias = fields.flag("attention_bias", False)
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=bias, o_bias=bias, qkv_parts=("qkv_proj",))
        yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size, gate_up_parts=("gate_up_proj",))
