"""Qwen2 and Qwen2.5, with their vision-language text models: a bias on qkv and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = ()


def modules(model: Model) -> Iterator[Module]:
    """Every layer is alike."""
    size = model.fields.size("intermediate_size")
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn", qkv_bias=True)
        yield from blocks.gated_mlp(model, f"layers.{layer}.mlp", "intermediate_size", size)
