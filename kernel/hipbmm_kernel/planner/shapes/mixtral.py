"""Mixtral: only the attention is linear; the gate runs unquantised and all experts are fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = (EXPERTS, ROUTER)


def modules(model: Model) -> Iterator[Module]:
    """Every layer is alike."""
    for layer in model.layers:
        yield from blocks.attention(model, f"layers.{layer}.self_attn")
