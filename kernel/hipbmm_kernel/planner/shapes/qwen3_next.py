"""Qwen3-Next and Qwen3.5: every fourth layer attends, the others run a gated delta net; experts or a dense MLP."""

from collections.abc import Iterator

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import Model, Module

_FULL = "full_attention"
_INTERVAL = 4


def qwen3_next(model: Model) -> Iterator[Module]:
    """Each layer by its own type."""
    fields = model.fields
    layers = len(model.layers)
    types = fields.texts("layer_types") or _default_types(layers, fields.size_or("full_attention_interval", _INTERVAL))
    if len(types) < layers:
        fields.refuse("layer_types", len(types), f"must name all {layers} layers")
    gates = 2 if fields.flag("attn_output_gate", True) else 1
    experts = fields.count("num_experts") or fields.count("num_local_experts")
    for layer in model.layers:
        path = f"layers.{layer}"
        if types[layer] == _FULL:
            bias = fields.flag("qkv_bias", False)
            yield from blocks.attention(model, f"{path}.self_attn", qkv_bias=bias, gates=gates)
        else:
            yield from _delta_net(model, f"{path}.linear_attn")
        yield from _mlp(model, layer, f"{path}.mlp", experts)


def _mlp(model: Model, layer: int, path: str, experts: int) -> Iterator[Module]:
    fields = model.fields
    if not blocks.is_sparse(model, layer, experts):
        yield from blocks.gated_mlp(model, path, "intermediate_size", fields.size("intermediate_size"))
        return
    shared = fields.count("shared_expert_intermediate_size")
    if shared:
        replicated = model.parallel.replicated_experts
        field = "shared_expert_intermediate_size"
        yield from blocks.gated_mlp(model, f"{path}.shared_expert", field, shared, replicated=replicated)


def _delta_net(model: Model, path: str) -> Iterator[Module]:
    fields = model.fields
    value_heads = fields.size("linear_num_value_heads")
    keys = fields.size("linear_num_key_heads") * fields.size("linear_key_head_dim")
    values = value_heads * fields.size("linear_value_head_dim")
    merged = fields.text("model_type").startswith("qwen3_next")
    qkvz = ("in_proj_qkvz",) if merged else ("in_proj_qkv", "in_proj_z")
    ba = ("in_proj_ba",) if merged else ("in_proj_b", "in_proj_a")
    key_share = model.split("linear_num_key_heads", keys)
    value_share = model.split("linear_num_value_heads", values)
    head_share = model.split("linear_num_value_heads", value_heads)
    yield Module(f"{path}.in_proj_qkvz", 2 * key_share + 2 * value_share, model.hidden, parts=qkvz)
    yield Module(f"{path}.in_proj_ba", 2 * head_share, model.hidden, parts=ba)
    yield Module(f"{path}.out_proj", model.hidden, value_share, parts=("out_proj",))


def _default_types(layers: int, interval: int) -> tuple[str, ...]:
    return tuple(_FULL if (layer + 1) % interval == 0 else "linear_attention" for layer in range(layers))
