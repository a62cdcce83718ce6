"""Vision towers that vLLM builds with the quantisation config. None is tuned, but one can end vLLM as it loads.

Shapes are those of vLLM 0.33's Qwen classes, as their own layers say. With `--mm-encoder-tp-mode data` a tower is whole
on each rank.
"""

from collections.abc import Iterator

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.shapes.module import Model, Module

PATCHES = "its M is the number of image patches, which is above 512"
VISUAL = "visual."
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


def known(whole: Fields) -> bool:
    """Whether the tower of a multimodal config is planned here."""
    return whole.text("model_type") in _KINDS


def modules(model: Model) -> Iterator[Module]:
    """The tower's linears; none for a model without one, or with one that is not known."""
    vision = model.whole.nested("vision_config")
    kind = _KINDS.get(model.whole.text("model_type"))
    if vision is None or kind is None:
        return
    ranks = model.parallel.tower or model.parallel.tensor
    width = vision.size("embed_dim") if kind == _SECOND else vision.size("hidden_size")
    for layer in range(vision.size("depth")):
        path = f"{VISUAL}blocks.{layer}"
        yield from _attention(path, width, ranks)
        yield from _mlp(kind, vision, path, width, ranks)
    yield from _mergers(kind, vision, width, ranks)


def _attention(path: str, width: int, ranks: int) -> Iterator[Module]:
    yield _split(f"{path}.attn.qkv", 3 * width, width, ranks)
    yield _split(f"{path}.attn.proj", width, width, ranks, rows=False)


def _mlp(kind: str, vision: Fields, path: str, width: int, ranks: int) -> Iterator[Module]:
    if kind == _SECOND_5:
        size = vision.size("intermediate_size")
        parts = ("gate_proj", "up_proj")
        yield _split(f"{path}.mlp.gate_up_proj", 2 * size, width, ranks)._replace(parts=parts)
        yield _split(f"{path}.mlp.down_proj", width, size, ranks, rows=False)
        return
    size = vision.size_or("mlp_ratio", 4) * width if kind == _SECOND else vision.size("intermediate_size")
    first, second = ("fc1", "fc2") if kind == _SECOND else ("linear_fc1", "linear_fc2")
    yield _split(f"{path}.mlp.{first}", size, width, ranks)
    yield _split(f"{path}.mlp.{second}", width, size, ranks, rows=False)


def _mergers(kind: str, vision: Fields, width: int, ranks: int) -> Iterator[Module]:
    merged = width * vision.size_or("spatial_merge_size", 2) ** 2
    out = vision.size("hidden_size") if kind == _SECOND else vision.size("out_hidden_size")
    first, second = ("linear_fc1", "linear_fc2") if kind == _THIRD else ("mlp.0", "mlp.2")
    paths = [f"{VISUAL}merger"]
    if kind == _THIRD:
        deep = len(vision.counts("deepstack_visual_indexes"))
        paths += [f"{VISUAL}deepstack_merger_list.{number}" for number in range(deep)]
    for path in paths:
        yield _split(f"{path}.{first}", merged, merged, ranks)
        yield _split(f"{path}.{second}", out, merged, ranks, rows=False)


def _split(path: str, n: int, k: int, ranks: int, *, rows: bool = True) -> Module:
    """A linear with bias whose rows, or else columns, are shared out; vLLM refuses sizes that cannot be."""
    last = path.rpartition(".")[2]
    share = (n // ranks, k) if rows else (n, k // ranks)
    return Module(path, max(share[0], 1), max(share[1], 1), bias=True, parts=(last,), untuned=PATCHES)
