"""Llama 4: layers with experts have a shared expert of `intermediate_size`, dense ones use `intermediate_size_mlp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = (EXPERTS, ROUTER, ("vision tower", "built without the quantisation config"))


def modules(model: Model) -> Iterator[Module]:
    """Every `interleave_moe_layer_step`-th layer has experts."""
    fields = model.fields.with_defaults(num_attention_heads=40, num_key_value_heads=8, head_dim=128)
    model = model._replace(fields=fields)
    step = fields.count("interleave_moe_layer_step", 1)
    bias = fields.flag("attention_bias", False)
    replicated = model.parallel.replicated_experts
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=bias, o_bias=False)
        if step and (layer + 1) % step == 0:
            size = fields.size("intermediate_size")
            expert = f"{path}.feed_forward.shared_expert"
            yield from blocks.gated_mlp(model, expert, "intermediate_size", size, replicated=replicated)
        else:
            size = fields.size("intermediate_size_mlp")
            yield from blocks.gated_mlp(model, f"{path}.feed_forward", "intermediate_size_mlp", size)
