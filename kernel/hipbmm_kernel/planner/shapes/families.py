"""The architectures that are known, one row each, and the forms of layers that most of them share.

A new architecture is a row here, with a function in `forms` if none of those there fits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.shapes import forms
from hipbmm_kernel.planner.shapes.forms import UNQUANTISED, attention, gated_mlp
from hipbmm_kernel.planner.shapes.module import Model, Module

Form = Callable[[Model, int], Iterable[Module]]
"""The linears that one kind of block has in one layer."""

NOTHING, SIGLIP = "nothing", "siglip"
_TASKS = ("CausalLM", "ConditionalGeneration")
_EXPERTS = ("experts", "routed experts run in fused MoE kernels")
_SPARSE = (_EXPERTS, ("router gate", UNQUANTISED))
_SHARED = "shared_expert_intermediate_size"
_SPARSE_BY_TYPE = {"qwen3_5_text": False, "qwen3_5_moe_text": True}
"""vLLM's classes of Qwen3.5 ask for nothing else."""


def grouped(
    model: Model,
    layer: int,
    *,
    qkv_bias: bool | str = False,
    o_bias: bool | str = False,
    width: int | None = None,
    merged: tuple[str, ...] = forms.QKV,
) -> Iterable[Module]:
    """Grouped-query attention. A bias is there, is not, or is where the flag of that name says so.

    `width` is the head_dim of a config that has none; None: the hidden size shared out over the heads.
    """
    qkv, out = (model.fields.flag(bias, False) if isinstance(bias, str) else bias for bias in (qkv_bias, o_bias))
    width = forms.head_dim(model) if width is None else model.fields.size("head_dim", width)
    return attention(model, f"layers.{layer}.self_attn", qkv_bias=qkv, o_bias=out, width=width, merged=merged)


def dense(model: Model, layer: int, *, bias: str = "", merged: tuple[str, ...] = forms.GATE_UP) -> Iterable[Module]:
    """The gated MLP, with a bias where the flag of that name says so."""
    return gated_mlp(
        model,
        f"layers.{layer}.mlp",
        "intermediate_size",
        bias=bool(bias) and model.fields.flag(bias, False),
        merged=merged,
    )


def no_linears(_model: Model, _layer: int) -> Iterable[Module]:
    """Experts alone: they are fused kernels and never linears."""
    return ()


def llama_attention(model: Model, layer: int, *, merged: tuple[str, ...] = forms.QKV) -> Iterable[Module]:
    """Llama's: `qkv_bias`, where it is given, is for qkv_proj alone."""
    both = model.fields.flag("attention_bias", False) or model.fields.flag("bias", False)
    return grouped(model, layer, qkv_bias=model.fields.flag("qkv_bias", both), o_bias=both, merged=merged)


def qwen2_attention(model: Model, layer: int) -> Iterable[Module]:
    """Qwen2's: a bias on qkv and nowhere else; vLLM's class does not look at head_dim."""
    width = max(model.hidden // model.fields.size("num_attention_heads"), 1)
    return attention(model, f"layers.{layer}.self_attn", qkv_bias=True, width=width)


def gpt_oss_attention(model: Model, layer: int) -> Iterator[Module]:
    """gpt-oss: a bias on both; key-value heads are split, not replicated, and experts are split (vLLM fails else).

    vLLM calls it `attn`: it maps names of the checkpoint, and leaves patterns alone.
    """
    for field in ("num_key_value_heads", "intermediate_size"):
        model.split(field, model.fields.size(field))
    for each in grouped(model, layer, qkv_bias=True, o_bias=True):
        yield each._replace(path=each.path.replace("self_attn", "attn"), stored=each.path)


def llama4_mlp(model: Model, layer: int) -> Iterable[Module]:
    """Every `interleave_moe_layer_step`-th layer has experts and a shared expert, the others a dense MLP."""
    path, step = f"layers.{layer}.feed_forward", model.fields.count("interleave_moe_layer_step", 1)
    if not step or (layer + 1) % step:
        return gated_mlp(model, path, "intermediate_size_mlp")
    return gated_mlp(model, f"{path}.shared_expert", "intermediate_size", replicated=model.replicated_experts)


def qwen_mlp(model: Model, layer: int, *, gate: bool = False, replicates: bool = False) -> Iterator[Module]:
    """Layers with experts have perhaps a `gate` and a shared expert that are linears, the others a dense MLP."""
    fields, path = model.fields, f"layers.{layer}.mlp"
    experts, local = fields.count("num_experts"), fields.count("num_local_experts")  # transformers 5 writes the latter
    if experts and local and experts != local:
        fields.refuse("num_local_experts", local, f"must be num_experts, which is {experts}")
    experts = experts or local
    sparse = _SPARSE_BY_TYPE.get(fields.text("model_type"))
    if sparse is None:
        is_dense = layer in fields.counts("mlp_only_layers") or (layer + 1) % fields.size("decoder_sparse_step", 1)
        sparse = experts > 0 and not is_dense
    if not sparse:
        yield from gated_mlp(model, path, "intermediate_size")
        return
    if gate:
        yield Module(f"{path}.gate", experts, model.hidden)
    if fields.count(_SHARED):
        replicated = replicates and model.replicated_experts
        yield from gated_mlp(model, f"{path}.shared_expert", _SHARED, replicated=replicated)


class Family(NamedTuple):
    """Whom a row plans, the forms of a layer, and the parts that are never planned, with the reason.

    `text_models` are values of `model_type`: text models nested in multimodal configs often name no architecture.
    `defaults` are what transformers assumes for a `model_type` ("" for the others) where a config is silent, as
    published ones are. `tower` says what vLLM quantises outside the language model: not known (""), NOTHING or SIGLIP.
    """

    architectures: tuple[str, ...]
    text_models: tuple[str, ...]
    attention: Form = grouped
    mlp: Form = dense
    left_out: tuple[tuple[str, str], ...] = ()
    defaults: Mapping[str, Mapping[str, int]] = {}
    tower: str = ""

    def modules(self, model: Model) -> Iterator[Module]:
        """The linears of the language model."""
        kind = model.fields.text("model_type")
        defaults = self.defaults.get(kind) or self.defaults.get("", {})
        model = model._replace(fields=model.fields.with_defaults(**defaults)) if defaults else model
        for layer in model.layers:
            yield from self.attention(model, layer)
            yield from self.mlp(model, layer)


_SIGLIP_MLP = (("vision tower fc1 and fc2", UNQUANTISED),)
_FAMILIES = (
    Family(
        ("LLaMAForCausalLM", "LlamaForCausalLM", "Ministral3ForCausalLM", "MistralForCausalLM"),
        ("llama", "ministral3", "mistral"),
        llama_attention,
        partial(dense, bias="mlp_bias"),
        defaults={"ministral3": {"head_dim": 128}},
    ),
    Family(  # Llama's class, but the checkpoint already stores qkv_proj and gate_up_proj merged
        ("Phi3ForCausalLM",),
        ("phi3",),
        partial(llama_attention, merged=()),
        partial(dense, bias="mlp_bias", merged=()),
    ),
    Family(
        ("Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"),
        ("qwen2", "qwen2_5_vl_text", "qwen2_vl_text"),
        qwen2_attention,
    ),
    Family(("Qwen3ForCausalLM",), ("qwen3", "qwen3_vl_text"), partial(grouped, qkv_bias="attention_bias", width=128)),
    Family(("MixtralForCausalLM",), ("mixtral",), mlp=no_linears, left_out=_SPARSE),
    Family(
        ("GptOssForCausalLM",),
        ("gpt_oss",),
        gpt_oss_attention,
        no_linears,
        _SPARSE,
        defaults={"": {"head_dim": 64}},
    ),
    Family(  # vLLM's class has no bias, whatever `attention_bias` says
        ("Llama4ForCausalLM",),
        ("llama4_text",),
        mlp=llama4_mlp,
        left_out=(*_SPARSE, ("vision tower", UNQUANTISED)),
        defaults={"": {"num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128}},
        tower=NOTHING,
    ),
    Family(("Qwen2MoeForCausalLM",), ("qwen2_moe",), qwen2_attention, qwen_mlp, _SPARSE),
    Family(  # the router gate is built with the quantisation config, unlike every other family's
        ("Qwen3MoeForCausalLM",),
        ("qwen3_moe", "qwen3_vl_moe_text"),
        partial(grouped, qkv_bias="attention_bias"),
        partial(qwen_mlp, gate=True),
        (_EXPERTS,),
    ),
    Family(  # vLLM's class has no bias, whatever `attention_bias` says
        ("GemmaForCausalLM",),
        ("gemma",),
        left_out=_SIGLIP_MLP,
        defaults={"": {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256}},
        tower=SIGLIP,
    ),
    Family(
        ("Gemma2ForCausalLM", "Gemma3ForCausalLM"),
        ("gemma2", "gemma3_text"),
        partial(grouped, qkv_bias="attention_bias", o_bias="attention_bias"),
        left_out=_SIGLIP_MLP,
        defaults={"": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}},
        tower=SIGLIP,
    ),
    Family(("Gemma4ForCausalLM",), ("gemma4_text",), forms.gemma4_attention, forms.gemma4_mlp, _SPARSE),
    Family(
        ("DeepseekV2ForCausalLM", "DeepseekV32ForCausalLM", "DeepseekV3ForCausalLM", "MistralLarge3ForCausalLM"),
        ("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"),
        forms.latent_attention,
        forms.deepseek_mlp,
        _SPARSE,
    ),
    Family(
        ("Qwen3NextForCausalLM", "Qwen3_5ForCausalLM", "Qwen3_5MoeForCausalLM"),
        ("qwen3_5_moe_text", "qwen3_5_text", "qwen3_next"),
        forms.qwen3_next_attention,
        partial(qwen_mlp, replicates=True),
        _SPARSE,
        defaults={"": {"head_dim": 256}},
    ),
)


def architecture(whole: Fields) -> str:
    """The architecture a config.json names; its model type where it names none."""
    names = whole.texts("architectures")
    return names[0] if names else whole.text("model_type")


def find(whole: Fields) -> Family | None:
    """The family of a config, by its own architecture or that of its nested text model; None when it is unknown."""
    text = whole.language()
    if not _is_all(architecture(whole), nested=text is not whole):
        return None
    for fields in (text, whole):
        names, kind = fields.texts("architectures")[:1], fields.text("model_type")
        named = (family for family in _FAMILIES if set(names) & set(family.architectures))
        typed = (family for family in _FAMILIES if kind in family.text_models)
        family = next(named, None) or next(typed, None)
        if family is not None:
            return family
    return None


def _is_all(name: str, *, nested: bool) -> bool:
    """Whether a class of vLLM's of this name has no linears but those of its text model, and perhaps of towers.

    Classes that rank, classify or reward have some of their own, and a class that is not known may be built otherwise
    than others of its model_type. A text model by its base class (`LlamaModel`) is built like the known one.
    """
    _, known_for, task = name.rpartition("For")
    if nested:
        return not known_for or task in _TASKS
    return not known_for or any(name in family.architectures for family in _FAMILIES)
