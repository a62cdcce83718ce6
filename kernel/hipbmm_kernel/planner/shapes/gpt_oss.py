"""gpt-oss: attention with bias on both sides; its checkpoints quantise the experts only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = (EXPERTS, ROUTER)


def modules(model: Model) -> Iterator[Module]:
    """Every layer is alike; key-value heads are shared out but not replicated here (vLLM divides by zero)."""
    fields = model.fields
    model.split("num_key_value_heads", fields.size("num_key_value_heads"))
    model.split("intermediate_size", fields.size("intermediate_size"))
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=True, o_bias=True)
