"""The blocks most families share: grouped-query attention and the gated MLP."""

from hipbmm_kernel.planner.shapes.module import Model, Module

QKV = ("q_proj", "k_proj", "v_proj")
GATE_UP = ("gate_proj", "up_proj")


def head_dim(model: Model) -> int:
    """`head_dim` when the config has it, else the hidden size shared out over the heads."""
    heads = model.fields.size("num_attention_heads")
    return model.fields.size_or("head_dim", max(model.hidden // heads, 1))


def attention(
    model: Model,
    path: str,
    *,
    qkv_bias: bool = False,
    o_bias: bool = False,
    width: int = 0,
    kv_total: int = 0,
    gates: int = 1,
    qkv_parts: tuple[str, ...] = QKV,
) -> tuple[Module, ...]:
    """`qkv_proj` and `o_proj` below `path`.

    `width` and `kv_total` replace head_dim and the number of key-value heads where a family has them per layer;
    `gates` 2 doubles the query part (an output gate beside the query).
    """
    fields = model.fields
    total = fields.size("num_attention_heads")
    kv_total = kv_total or fields.size_or("num_key_value_heads", total)
    width = width or head_dim(model)
    heads = model.split("num_attention_heads", total)
    kv_heads = model.kv_heads("num_key_value_heads", kv_total)
    return (
        Module(f"{path}.qkv_proj", (gates * heads + 2 * kv_heads) * width, model.hidden, qkv_bias, qkv_parts),
        Module(f"{path}.o_proj", model.hidden, heads * width, o_bias, ("o_proj",)),
    )


def gated_mlp(
    model: Model,
    path: str,
    field: str,
    size: int,
    *,
    replicated: bool = False,
    bias: bool = False,
    gate_up_parts: tuple[str, ...] = GATE_UP,
) -> tuple[Module, ...]:
    """`gate_up_proj` and `down_proj` below `path` for an intermediate `size` read from `field`."""
    share = size if replicated else model.split(field, size)
    return (
        Module(f"{path}.gate_up_proj", 2 * share, model.hidden, bias, gate_up_parts),
        Module(f"{path}.down_proj", model.hidden, share, bias, ("down_proj",)),
    )


def is_sparse(model: Model, layer: int, experts: int) -> bool:
    """Whether a layer of the Qwen MoE families has experts, by `mlp_only_layers` and `decoder_sparse_step`."""
    fields = model.fields
    step = fields.size_or("decoder_sparse_step", 1)
    return experts > 0 and layer not in fields.counts("mlp_only_layers") and (layer + 1) % step == 0
