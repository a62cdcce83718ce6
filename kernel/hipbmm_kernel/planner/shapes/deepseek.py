"""DeepSeek V2, V3, R1 and V3.2, Kimi K2 and Mistral Large 3: multi-head latent attention, experts, shared experts."""

from collections.abc import Iterator

from hipbmm_kernel.planner.shapes import blocks
from hipbmm_kernel.planner.shapes.module import Model, Module
from hipbmm_kernel.rows import gemm


def deepseek(model: Model) -> Iterator[Module]:
    """The first layers have a dense MLP, the others experts with shared experts beside them."""
    fields = model.fields
    experts = fields.count("n_routed_experts")
    first = fields.count("first_k_dense_replace")
    step = fields.size_or("moe_layer_freq", 1)
    shared = fields.count("n_shared_experts")
    for layer in model.layers:
        path = f"layers.{layer}"
        yield from _latent_attention(model, f"{path}.self_attn")
        if not (experts and layer >= first and layer % step == 0):
            size = fields.size("intermediate_size")
            yield from blocks.gated_mlp(model, f"{path}.mlp", "intermediate_size", size)
        elif shared:
            size = fields.size("moe_intermediate_size") * shared
            replicated = model.parallel.replicated_experts
            expert = f"{path}.mlp.shared_experts"
            yield from blocks.gated_mlp(model, expert, "moe_intermediate_size", size, replicated=replicated)


def _latent_attention(model: Model, path: str) -> Iterator[Module]:
    fields = model.fields
    heads = model.split("num_attention_heads", fields.size("num_attention_heads"))
    rank = fields.size("kv_lora_rank")
    rope = fields.size("qk_rope_head_dim")
    content = fields.size("qk_nope_head_dim")
    values = fields.size("v_head_dim")
    query_rank = fields.count("q_lora_rank")
    hidden = model.hidden
    if query_rank:
        parts = ("q_a_proj", "kv_a_proj_with_mqa")
        yield Module(f"{path}.fused_qkv_a_proj", query_rank + rank + rope, hidden, parts=parts)
        yield Module(f"{path}.q_b_proj", heads * (content + rope), query_rank, parts=("q_b_proj",))
    else:
        yield Module(f"{path}.kv_a_proj_with_mqa", rank + rope, hidden, parts=("kv_a_proj_with_mqa",))
        yield Module(f"{path}.q_proj", heads * (content + rope), hidden, parts=("q_proj",))
    # Loading multiplies kv_b_proj by an identity of its own K to split the dequantised weight.
    identity = rank if rank <= gemm.MAX_M else 0
    yield Module(f"{path}.kv_b_proj", heads * (content + values), rank, parts=("kv_b_proj",), load_tokens=identity)
    yield Module(f"{path}.o_proj", hidden, heads * values, parts=("o_proj",))
    if query_rank and "index_topk" in fields:
        yield from _indexer(model, f"{path}.indexer", query_rank)


def _indexer(model: Model, path: str, query_rank: int) -> Iterator[Module]:
    """The sparse attention's indexer of V3.2, replicated on every rank."""
    fields = model.fields
    width, heads = fields.size("index_head_dim"), fields.size("index_n_heads")
    plain = "built without the quantisation config"
    yield Module(f"{path}.wq_b", width * heads, query_rank, parts=("wq_b",))
    yield Module(f"{path}.wk_weights_proj", width + heads, model.hidden, parts=("wk",), unquantised=plain)
