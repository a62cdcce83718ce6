"""Which family plans which architecture. Adding one is a row here and perhaps a function in a file beside it."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.shapes.module import EXPERTS, ROUTER, Model, Module

LeftOut = tuple[tuple[str, str], ...]

_SPARSE = (EXPERTS, ROUTER)
_UNQUANTISED = "built without the quantisation config"
_LLAMA4 = (*_SPARSE, ("vision tower", _UNQUANTISED))
_GEMMA = (("vision tower fc1 and fc2", _UNQUANTISED),)


class Family(NamedTuple):
    """The file and function of a family, whom it plans, and the parts that are never planned, with the reason.

    `text_models` are values of `model_type`: text models nested in multimodal configs often name no architecture.
    """

    place: str
    architectures: tuple[str, ...]
    text_models: tuple[str, ...]
    left_out: LeftOut = ()

    @property
    def has_tower(self) -> bool:
        """Whether the family's own file knows the linears outside the language model."""
        return any("vision tower" in name for name, _ in self.left_out)

    def modules(self, model: Model) -> Iterator[Module]:
        """The linears of `model`. Imports one file only: the others cost start-up time of a complete store."""
        file, _, name = self.place.partition(".")
        modules: Callable[[Model], Iterator[Module]] = getattr(
            import_module(f"hipbmm_kernel.planner.shapes.{file}"), name
        )
        return modules(model)


_FAMILIES = (
    Family(
        "dense.llama",
        ("LLaMAForCausalLM", "LlamaForCausalLM", "Ministral3ForCausalLM", "MistralForCausalLM"),
        ("llama", "ministral3", "mistral"),
    ),
    Family("dense.phi3", ("Phi3ForCausalLM",), ("phi3",)),
    Family(
        "dense.qwen2",
        ("Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"),
        ("qwen2", "qwen2_5_vl_text", "qwen2_vl_text"),
    ),
    Family("dense.qwen3", ("Qwen3ForCausalLM",), ("qwen3", "qwen3_vl_text")),
    Family("experts.mixtral", ("MixtralForCausalLM",), ("mixtral",), _SPARSE),
    Family("experts.gpt_oss", ("GptOssForCausalLM",), ("gpt_oss",), _SPARSE),
    Family("experts.llama4", ("Llama4ForCausalLM",), ("llama4_text",), _LLAMA4),
    Family("experts.qwen2_moe", ("Qwen2MoeForCausalLM",), ("qwen2_moe",), _SPARSE),
    Family("experts.qwen3_moe", ("Qwen3MoeForCausalLM",), ("qwen3_moe", "qwen3_vl_moe_text"), (EXPERTS,)),
    Family(
        "gemma.gemma",
        ("Gemma2ForCausalLM", "Gemma3ForCausalLM", "GemmaForCausalLM"),
        ("gemma", "gemma2", "gemma3_text"),
        _GEMMA,
    ),
    Family("gemma.gemma4", ("Gemma4ForCausalLM",), ("gemma4_text",), _SPARSE),
    Family(
        "deepseek.deepseek",
        ("DeepseekV2ForCausalLM", "DeepseekV32ForCausalLM", "DeepseekV3ForCausalLM", "MistralLarge3ForCausalLM"),
        ("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"),
        _SPARSE,
    ),
    Family(
        "qwen3_next.qwen3_next",
        ("Qwen3NextForCausalLM", "Qwen3_5ForCausalLM", "Qwen3_5MoeForCausalLM"),
        ("qwen3_5_moe_text", "qwen3_5_text", "qwen3_next"),
        _SPARSE,
    ),
)


def tower(model: Model) -> tuple[tuple[Module, ...], bool]:
    """The linears outside the language model that are known here, and whether these are all."""
    if "vision_config" not in model.whole and "audio_config" not in model.whole:
        return (), True
    from hipbmm_kernel.planner.shapes import towers  # noqa: PLC0415 - as each family's file

    return tuple(towers.modules(model)), towers.known(model.whole)


def architecture(whole: Fields) -> str:
    """The architecture a config.json names; its model type where it names none."""
    names = whole.texts("architectures")
    return names[0] if names else whole.text("model_type")


def find(whole: Fields) -> Family | None:
    """The family of a config, by its own architecture or that of its nested text model; None when it is unknown."""
    for fields in (whole.language(), whole):
        names, kind = fields.texts("architectures")[:1], fields.text("model_type")
        named = (family for family in _FAMILIES if set(names) & set(family.architectures))
        typed = (family for family in _FAMILIES if kind in family.text_models)
        family = next(named, None) or next(typed, None)
        if family is not None:
            return family
    return None
