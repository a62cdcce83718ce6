"""Vision towers that vLLM builds with the quantisation config. None is tuned, but one can end vLLM as it loads.

Shapes are those of vLLM 0.33's Qwen classes, as their own layers say, and of Gemma 3's SigLIP. With
`--mm-encoder-tp-mode data` a Qwen tower is whole on each rank.
"""

from collections.abc import Iterator

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.shapes.families import SIGLIP, Family
from hipbmm_kernel.planner.shapes.forms import GATE_UP, attention, head_dim
from hipbmm_kernel.planner.shapes.module import PATCHES, Model, Module

_SECOND, _SECOND_5, _THIRD = "qwen2_vl", "qwen2_5_vl", "qwen3_vl"
_KINDS = {
    _SECOND: _SECOND,
    _SECOND_5: _SECOND_5,
    _THIRD: _THIRD,
    "qwen3_vl_moe": _THIRD,
    "qwen3_5": _THIRD,
    "qwen3_5_moe": _THIRD,
}
"""model_type of the whole config -> whose tower it has."""
_SIGLIP = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16}


def find(model: Model, family: Family, no_input: frozenset[str]) -> tuple[tuple[Module, ...], bool]:
    """The linears outside the language model that are known here, and whether these are all.

    vLLM makes no tower whose kinds of input are all in `no_input` (`_mark_tower_model` of 0.23.0 to 0.33.0).
    """
    if "vision_config" not in model.whole and "audio_config" not in model.whole:
        return (), True
    kind, vision = _KINDS.get(model.whole.text("model_type")), model.whole.nested("vision_config")
    if vision is not None and family.tower == SIGLIP:
        return () if "image" in no_input else tuple(_siglip(model, vision)), True
    if vision is None or kind is None:
        return (), kind is not None or family.tower != ""
    return () if {"image", "video"} <= no_input else tuple(_qwen(kind, vision, model.tower_ranks)), True


def _siglip(model: Model, vision: Fields) -> Iterator[Module]:
    """The attention of Gemma 3's tower; its MLP is never quantised."""
    tower = model._replace(fields=vision.with_defaults(**_SIGLIP))
    for layer in tower.layers:
        path = f"vision_tower.vision_model.encoder.layers.{layer}.self_attn"
        qkv, out = attention(tower, path, width=head_dim(tower), qkv_bias=True, o_bias=True)
        yield qkv._replace(untuned=PATCHES)
        yield out._replace(path=f"{path}.out_proj", untuned=PATCHES)


def _qwen(kind: str, vision: Fields, ranks: int) -> Iterator[Module]:
    width = vision.size("embed_dim") if kind == _SECOND else vision.size("hidden_size")
    for layer in range(vision.size("depth")):
        path = f"visual.blocks.{layer}"
        yield _split(f"{path}.attn.qkv", 3 * width, width, ranks)
        yield _split(f"{path}.attn.proj", width, width, ranks, rows=False)
        yield from _mlp(kind, vision, f"{path}.mlp", width, ranks)
    merged = width * vision.size("spatial_merge_size", 2) ** 2
    out = vision.size("hidden_size") if kind == _SECOND else vision.size("out_hidden_size")
    first, second = ("linear_fc1", "linear_fc2") if kind == _THIRD else ("mlp.0", "mlp.2")
    deep = len(vision.counts("deepstack_visual_indexes")) if kind == _THIRD else 0
    for path in ("visual.merger", *(f"visual.deepstack_merger_list.{number}" for number in range(deep))):
        yield _split(f"{path}.{first}", merged, merged, ranks)
        yield _split(f"{path}.{second}", out, merged, ranks, rows=False)


def _mlp(kind: str, vision: Fields, path: str, width: int, ranks: int) -> Iterator[Module]:
    if kind == _SECOND_5:
        size = vision.size("intermediate_size")
        yield _split(f"{path}.gate_up_proj", 2 * size, width, ranks)._replace(merged=GATE_UP)
        yield _split(f"{path}.down_proj", width, size, ranks, rows=False)
        return
    size = vision.size("mlp_ratio", 4) * width if kind == _SECOND else vision.size("intermediate_size")
    first, second = ("fc1", "fc2") if kind == _SECOND else ("linear_fc1", "linear_fc2")
    yield _split(f"{path}.{first}", size, width, ranks)
    yield _split(f"{path}.{second}", width, size, ranks, rows=False)


def _split(path: str, n: int, k: int, ranks: int, *, rows: bool = True) -> Module:
    """A linear with bias whose rows, or else columns, are shared out; vLLM refuses sizes that cannot be."""
    n, k = (n // ranks, k) if rows else (n, k // ranks)
    return Module(path, max(n, 1), max(k, 1), bias=True, untuned=PATCHES)
