"""Gemma 4: sliding and full layers differ in head_dim and key-value heads, late ones share the keys of earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model

LEFT_OUT = (EXPERTS, ROUTER)
_FULL = "full_attention"
_SLIDING_PATTERN = 6


def modules(model: Model) -> Iterator[Module]:
    """Each layer by its own type; layers that share keys and values have q_proj only, perhaps with a wider MLP."""
    fields = model.fields
    layers = len(model.layers)
    types = fields.texts("layer_types") or _default_types(layers)
    if len(types) < layers:
        fields.refuse("layer_types", len(types), f"must name all {layers} layers")
    shared = fields.count("num_kv_shared_layers")
    first_shared = layers - shared if shared else layers
    embedded = fields.count("hidden_size_per_layer_input") * layers
    if embedded:
        share = model.split("hidden_size_per_layer_input", embedded)
        yield Module("per_layer_model_projection", share, model.hidden, parts=("per_layer_model_projection",))
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from _attention(model, f"{path}.self_attn", full=types[layer] == _FULL, shares=layer >= first_shared)
        wide = fields.flag("use_double_wide_mlp", False) and layer >= first_shared > 0
        size = fields.size("intermediate_size") * (2 if wide else 1)
        yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size)
        yield from _per_layer_input(model, path)


def _attention(model: Model, path: str, *, full: bool, shares: bool) -> Iterator[Module]:
    fields = model.fields
    width = fields.size_or("head_dim", 256)
    kv_total = fields.size_or("num_key_value_heads", fields.size("num_attention_heads"))
    if full:
        width = fields.size_or("global_head_dim", width)
        if fields.flag("attention_k_eq_v", False):
            kv_total = fields.size_or("num_global_key_value_heads", kv_total)
    bias = fields.flag("attention_bias", False)
    qkv, output = blocks.attention(model, path, qkv_bias=bias, o_bias=bias, width=width, kv_total=kv_total)
    if shares:
        qkv = Module(f"{path}.q_proj", output.k, model.hidden, bias, ("q_proj",))
    elif full and fields.flag("attention_k_eq_v", False):
        qkv = qkv._replace(parts=("q_proj", "k_proj"))
    yield qkv
    yield output


def _per_layer_input(model: Model, path: str) -> Iterator[Module]:
    """The replicated gate and projection of the per-layer embeddings, where the model has them."""
    width = model.fields.count("hidden_size_per_layer_input")
    if width:
        yield Module(f"{path}.per_layer_input_gate", width, model.hidden, parts=("per_layer_input_gate",))
        yield Module(f"{path}.per_layer_projection", model.hidden, width, parts=("per_layer_projection",))


def _default_types(layers: int) -> tuple[str, ...]:
    """Every sixth layer is a full one, as transformers fills the list in."""
    return tuple(_FULL if (layer + 1) % _SLIDING_PATTERN == 0 else "sliding_attention" for layer in range(layers))
