"""Gemma 1 to 3: shapes of Llama with a head_dim of its own, and for Gemma 3 a SigLIP tower that may be quantised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import TOWER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hipbmm_kernel.planner.shapes.module import Model, Module

LEFT_OUT = (("vision tower fc1 and fc2", "built without the quantisation config"),)

_DEFAULTS = {
    "gemma": {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256},
    "gemma2": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256},
    "gemma3": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256},
}
"""What transformers assumes where a config.json leaves the field out, as the published Gemma 3 ones do."""

_VISION = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16}
_PATCHES = "its M is the number of image patches, which is above 512"


def modules(model: Model) -> Iterator[Module]:
    """The decoder's layers, then the tower's attention."""
    kind = model.fields.text("model_type").removesuffix("_text")
    fields = model.fields.with_defaults(**_DEFAULTS.get(kind, _DEFAULTS["gemma3"]))
    text = model._replace(fields=fields)
    bias = fields.flag("attention_bias", False)
    size = fields.size("intermediate_size")
    for layer in text.layers:
        yield from blocks.attention(text, f"layers.{layer}.self_attn", qkv_bias=bias, o_bias=bias)
        yield from blocks.gated_mlp(text, f"layers.{layer}.mlp", "intermediate_size", size)
    yield from _tower(model)


def _tower(model: Model) -> Iterator[Module]:
    vision = model.whole.nested("vision_config")
    if vision is None or model.fields is model.whole:
        return
    tower = model._replace(fields=vision.with_defaults(**_VISION))
    for layer in tower.layers:
        path = f"{TOWER}vision_model.encoder.layers.{layer}.self_attn"
        qkv, out = blocks.attention(tower, path, qkv_bias=True, o_bias=True)
        yield qkv._replace(untuned=_PATCHES)
        yield out._replace(path=f"{path}.out_proj", parts=("out_proj",), untuned=_PATCHES)
