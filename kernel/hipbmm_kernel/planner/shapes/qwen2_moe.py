"""Qwen2-MoE: attention as Qwen2, experts with one shared expert beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = (EXPERTS, ROUTER)


def modules(model: Model) -> Iterator[Module]:
    """Layers with experts have the shared expert, the others a dense MLP."""
    fields = model.fields
    experts = fields.count("num_experts")
    shared = fields.count("shared_expert_intermediate_size")
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=fields.flag("qkv_bias", True))
        if not blocks.is_sparse(model, layer, experts):
            size = fields.size("intermediate_size")
            yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size)
        elif shared:
            field = "shared_expert_intermediate_size"
            yield from blocks.gated_mlp(model, f"{path}.mlp.shared_expert", field, shared)
