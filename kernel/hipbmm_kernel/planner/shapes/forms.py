"""The blocks of attention and MLP, and the layers of single families: latent attention, delta nets, Gemma 4."""

from collections.abc import Iterator

from hipbmm_kernel.planner import vllm_version
from hipbmm_kernel.planner.shapes.module import FULL, Model, Module
from hipbmm_kernel.rows import gemm

QKV = ("q_proj", "k_proj", "v_proj")
GATE_UP = ("gate_proj", "up_proj")
UNQUANTISED = "built without the quantisation config"


def head_dim(model: Model) -> int:
    """`head_dim` when the config has it, else the hidden size shared out over the heads."""
    return model.fields.size("head_dim", max(model.hidden // model.fields.size("num_attention_heads"), 1))


def attention(
    model: Model,
    path: str,
    *,
    width: int,
    qkv_bias: bool = False,
    o_bias: bool = False,
    kv_total: int = 0,
    gates: int = 1,
    merged: tuple[str, ...] = QKV,
) -> tuple[Module, Module]:
    """`qkv_proj` and `o_proj` below `path`, with heads of that `width`.

    `kv_total` replaces the number of key-value heads where a family has it per layer; `gates` 2 doubles the query part
    (an output gate beside the query).
    """
    total = model.fields.size("num_attention_heads")
    kv_total = kv_total or model.fields.size("num_key_value_heads", total)
    heads, kv_heads = model.split("num_attention_heads", total), model.kv_heads(kv_total)
    return (
        Module(f"{path}.qkv_proj", (gates * heads + 2 * kv_heads) * width, model.hidden, qkv_bias, merged),
        Module(f"{path}.o_proj", model.hidden, heads * width, o_bias),
    )


def gated_mlp(
    model: Model,
    path: str,
    field: str,
    times: int = 1,
    *,
    replicated: bool = False,
    bias: bool = False,
    merged: tuple[str, ...] = GATE_UP,
) -> tuple[Module, Module]:
    """`gate_up_proj` and `down_proj` below `path`, as wide as `field` says, `times` over."""
    size = model.fields.size(field) * times
    share = size if replicated else model.split(field, size)
    return (
        Module(f"{path}.gate_up_proj", 2 * share, model.hidden, bias, merged),
        Module(f"{path}.down_proj", model.hidden, share, bias),
    )


def deepseek_mlp(model: Model, layer: int) -> tuple[Module, ...]:
    """The first layers have a dense MLP, the others experts with shared experts beside them."""
    fields, path = model.fields, f"layers.{layer}.mlp"
    step, first = fields.size("moe_layer_freq", 1), fields.count("first_k_dense_replace")
    if not fields.count("n_routed_experts") or layer < first or layer % step:
        return gated_mlp(model, path, "intermediate_size")
    shared, replicated = fields.count("n_shared_experts"), model.replicated_experts
    if not shared:
        return ()
    return gated_mlp(model, f"{path}.shared_experts", "moe_intermediate_size", shared, replicated=replicated)


def latent_attention(model: Model, layer: int) -> Iterator[Module]:
    """Multi-head latent attention of DeepSeek V2, V3, R1 and V3.2, Kimi K2 and Mistral Large 3."""
    fields, path, hidden = model.fields, f"layers.{layer}.self_attn", model.hidden
    heads = model.split("num_attention_heads", fields.size("num_attention_heads"))
    names = ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    rank, rope, content, values = map(fields.size, names)
    query_rank = fields.count("q_lora_rank")
    if query_rank:
        merged = ("q_a_proj", "kv_a_proj_with_mqa")
        yield Module(f"{path}.fused_qkv_a_proj", query_rank + rank + rope, hidden, merged=merged)
        yield Module(f"{path}.q_b_proj", heads * (content + rope), query_rank)
    else:
        yield Module(f"{path}.kv_a_proj_with_mqa", rank + rope, hidden)
        yield Module(f"{path}.q_proj", heads * (content + rope), hidden)
    # Loading multiplies kv_b_proj by an identity of its own K to split the dequantised weight.
    identity = rank if rank <= gemm.MAX_M else 0
    yield Module(f"{path}.kv_b_proj", heads * (content + values), rank, load_tokens=identity)
    yield Module(f"{path}.o_proj", hidden, heads * values)
    if query_rank and "index_topk" in fields:
        # The sparse attention's indexer of V3.2, replicated on every rank.
        width, heads = fields.size("index_head_dim"), fields.size("index_n_heads")
        yield Module(f"{path}.indexer.wq_b", width * heads, query_rank)
        yield Module(f"{path}.indexer.wk_weights_proj", width + heads, hidden, unquantised=UNQUANTISED)


def qwen3_next_attention(model: Model, layer: int) -> Iterator[Module]:
    """Qwen3-Next and Qwen3.5: every fourth layer attends, the others run a gated delta net."""
    fields, path = model.fields, f"layers.{layer}.linear_attn"
    stored = fields.text("model_type").startswith("qwen3_next")  # merged in the checkpoint already
    reads_interval = not stored or model.vllm >= vllm_version.READS_INTERVAL
    interval = fields.size("full_attention_interval", 4) if reads_interval else 4
    if model.layer_types("linear_attention", interval)[layer] == FULL:
        bias, gates = fields.flag("qkv_bias", False), 2 if fields.flag("attn_output_gate", True) else 1
        path = f"layers.{layer}.self_attn"
        yield from attention(model, path, width=head_dim(model), qkv_bias=bias, gates=gates)
        return
    value_heads = fields.size("linear_num_value_heads")
    keys = fields.size("linear_num_key_heads") * fields.size("linear_key_head_dim")
    values = value_heads * fields.size("linear_value_head_dim")
    key_share = model.split("linear_num_key_heads", keys)
    value_share = model.split("linear_num_value_heads", values)
    head_share = model.split("linear_num_value_heads", value_heads)
    qkvz, ba = ((), ()) if stored else (("in_proj_qkv", "in_proj_z"), ("in_proj_b", "in_proj_a"))
    yield Module(f"{path}.in_proj_qkvz", 2 * key_share + 2 * value_share, model.hidden, merged=qkvz)
    yield Module(f"{path}.in_proj_ba", 2 * head_share, model.hidden, merged=ba)
    yield Module(f"{path}.out_proj", model.hidden, value_share)


def gemma4_attention(model: Model, layer: int) -> Iterator[Module]:
    """Gemma 4: sliding and full layers differ in head_dim and key-value heads.

    Late layers share the keys and values of earlier ones: from 0.30 they have q_proj only.
    """
    fields, path = model.fields, f"layers.{layer}.self_attn"
    embedded = fields.count("hidden_size_per_layer_input") * len(model.layers)
    if embedded and layer == 0:
        share = model.split("hidden_size_per_layer_input", embedded)
        yield Module("per_layer_model_projection", share, model.hidden)
    full = model.layer_types("sliding_attention", 6)[layer] == FULL
    own = fields.objects("per_layer_config")
    # transformers 5 writes what differs per layer, by a number that may have a zero in front.
    other = own.get(str(layer)) or own.get(f"{layer:02d}") or own.get(f"{layer:03d}") or fields
    width = other.size("head_dim", fields.size("head_dim", 256))
    kv_total = fields.size("num_key_value_heads", fields.size("num_attention_heads"))
    kv_total = other.size("num_key_value_heads", kv_total)
    same = fields.flag("attention_k_eq_v", False)
    if full and other is fields:
        width = fields.size("global_head_dim", width)
        kv_total = fields.size("num_global_key_value_heads", kv_total) if same else kv_total
    bias = fields.flag("attention_bias", False)
    merged = ("q_proj", "k_proj") if full and same else QKV
    qkv, out = attention(model, path, width=width, qkv_bias=bias, o_bias=bias, kv_total=kv_total, merged=merged)
    alone = _shares_keys(model, layer) and model.vllm >= vllm_version.SHARES_KEYS
    yield Module(f"{path}.q_proj", out.k, model.hidden, bias) if alone else qkv
    yield out


def gemma4_mlp(model: Model, layer: int) -> Iterator[Module]:
    """Layers that share keys may have a wider MLP; gate and projection of the per-layer embeddings are replicated."""
    fields, path = model.fields, f"layers.{layer}"
    wide = fields.flag("use_double_wide_mlp", False) and _shares_keys(model, layer)
    yield from gated_mlp(model, f"{path}.mlp", "intermediate_size", 2 if wide else 1)
    width = fields.count("hidden_size_per_layer_input")
    if width:
        yield Module(f"{path}.per_layer_input_gate", width, model.hidden)
        yield Module(f"{path}.per_layer_projection", model.hidden, width)


def _shares_keys(model: Model, layer: int) -> bool:
    shared = model.fields.count("num_kv_shared_layers")
    return shared > 0 and layer >= len(model.layers) - shared
