"""Qwen3-MoE: attention as Qwen3; the router gate is built with the quantisation config, unlike every other family's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model

LEFT_OUT = (EXPERTS,)


def modules(model: Model) -> Iterator[Module]:
    """Layers with experts have the gate and perhaps a shared expert, the others a dense MLP."""
    fields = model.fields
    bias = fields.flag("attention_bias", False)
    experts = fields.count("num_experts")
    shared = fields.count("shared_expert_intermediate_size")
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=bias)
        if not blocks.is_sparse(model, layer, experts):
            size = fields.size("intermediate_size")
            yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size)
            continue
        yield Module(f"{path}.mlp.gate", experts, model.hidden, parts=("gate",))
        if shared:
            field = "shared_expert_intermediate_size"
            yield from blocks.gated_mlp(model, f"{path}.mlp.shared_expert", field, shared)
