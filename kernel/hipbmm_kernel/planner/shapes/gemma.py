"""The Gemma families: shapes of Llama with a head_dim of its own; from Gemma 4 on layers differ."""

from collections.abc import Iterator

from hipbmm_kernel.planner import vllm_version
from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import TOWER, Model, Module

_DEFAULTS = {
    "gemma": {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256},
    "gemma2": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256},
    "gemma3": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256},
}
"""What transformers assumes where a config.json leaves the field out, as the published Gemma 3 ones do."""

_VISION = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16}
_PATCHES = "its M is the number of image patches, which is above 512"

_FULL = "full_attention"
_SLIDING_PATTERN = 6


def gemma(model: Model) -> Iterator[Module]:
    """Gemma 1 to 3: the decoder's layers, then for Gemma 3 the attention of a SigLIP tower that may be quantised."""
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


def gemma4(model: Model) -> Iterator[Module]:
    """Gemma 4: sliding and full layers differ in head_dim and key-value heads.

    Late layers share the keys and values of earlier ones: from 0.30 they have q_proj only, and perhaps a wider MLP.
    """
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
        shares = layer >= first_shared and model.vllm >= vllm_version.SHARES_KEYS
        yield from _attention(model, layer, full=types[layer] == _FULL, shares=shares)
        wide = fields.flag("use_double_wide_mlp", False) and layer >= first_shared > 0
        size = fields.size("intermediate_size") * (2 if wide else 1)
        yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size)
        yield from _per_layer_input(model, path)


def _attention(model: Model, layer: int, *, full: bool, shares: bool) -> Iterator[Module]:
    fields, path = model.fields, f"layers.{layer}.self_attn"
    own = fields.objects("per_layer_config")
    # transformers 5 writes what differs per layer, by a number that may have a zero in front.
    other = own.get(str(layer)) or own.get(f"{layer:02d}") or own.get(f"{layer:03d}") or fields
    width = other.size_or("head_dim", fields.size_or("head_dim", 256))
    kv_total = fields.size_or("num_key_value_heads", fields.size("num_attention_heads"))
    kv_total = other.size_or("num_key_value_heads", kv_total)
    if full and other is fields:
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
