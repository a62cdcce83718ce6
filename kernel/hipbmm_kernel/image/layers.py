"""Every linear of the model on rank 0, built by vLLM's own classes on the meta device, with the kernel vLLM chose.

In the child only. Nothing has data, so the largest model needs as much memory as the smallest.
"""

import contextlib
import importlib
import re
from typing import Any

from hipbmm_kernel.image import engine, single_process
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner.answer import MAX_TEXT, ImageLinear
from hipbmm_kernel.rows.gemm import MAX_M

_LAYER = re.compile(r"\.\d+(?=\.|$)")
_KERNELS = ("fp8_linear", "kernel")
"""Where quantisation methods keep the kernel they chose."""


def build_draft(config: Any) -> Any:
    """The model that drafts for it, as its proposer loads it (vllm/v1/spec_decode, 0.23.0 to 0.33.0).

    A model of its own has its own quantisation; heads and MTP layers are built in the target's configuration.
    """
    speculative = config.speculative_config
    if speculative.method != "draft_model":
        return build(config, model_config=speculative.draft_model_config)
    parallel = speculative.draft_parallel_config
    replace = importlib.import_module("vllm.config.utils").replace
    own = replace(config, quant_config=None, parallel_config=parallel, model_config=speculative.draft_model_config)
    return build(own, prefix="draft_model")


def build(config: Any, **options: Any) -> Any:
    """The model of a configuration, without any data. Raises what vLLM raises."""
    torch = importlib.import_module("torch")
    loader = importlib.import_module("vllm.model_executor.model_loader.utils")
    current = importlib.import_module("vllm.config").set_current_vllm_config
    default_dtype = importlib.import_module("vllm.utils.torch_utils").set_default_torch_dtype
    literals, values = single_process.device_literals(), single_process.meta_values()
    with current(config):
        single_process.groups(config.parallel_config)
        single_process.device(config)
        single_process.workspace()
        with default_dtype(config.model_config.dtype), torch.device(single_process.META), values, literals:
            return loader.initialize_model(vllm_config=config, **options)


def linears(model: Any, notes: list[str]) -> tuple[ImageLinear, ...]:
    """The model's linears, alike ones together, in the model's order. Refused where it could not be loaded."""
    base = importlib.import_module("vllm.model_executor.layers.linear").LinearBase
    language = _language_modules(model, notes)
    loading = _called_while_loading(model)
    found: dict[tuple[object, ...], ImageLinear] = {}
    for path, module in model.named_modules():
        kernel = _kernel(module)
        hipbmm = kernel is not None and type(kernel).__name__ == HIPBMM
        if not hipbmm and not isinstance(module, base):
            continue
        if _is_quantised_twice(module):
            raise engine.Refused(
                f"online quantisation means {path}, whose quantised weights this vLLM cannot read back"
            )
        linear = _linear(path, module, kernel, language, loading)
        alike = (_LAYER.sub("", path), *linear[1:])
        known = found.get(alike)
        found[alike] = known._replace(copies=known.copies + 1) if known else linear
    return tuple(found.values())


def _linear(path: str, module: Any, kernel: Any, language: set[int] | None, loading: set[int]) -> ImageLinear:
    n, k = _shape(module, kernel)
    name = type(kernel).__name__ if kernel is not None else ""
    return ImageLinear(
        path=path[:MAX_TEXT],
        n=n,
        k=k,
        bias=getattr(module, "bias", None) is not None and not getattr(module, "skip_bias_add", False),
        copies=1,
        kernel=name[:MAX_TEXT],
        reason="" if name == HIPBMM else _reason(module, kernel)[:MAX_TEXT],
        tower=language is not None and id(module) not in language,
        load_tokens=k if id(module) in loading and name == HIPBMM and k <= MAX_M else 0,
    )


def _kernel(module: Any) -> Any:
    """The kernel object that the module's quantisation method chose as it was made."""
    method = getattr(module, "quant_method", None)
    for holder in (getattr(module, "scheme", None), method, getattr(method, "scheme", None)):
        for name in _KERNELS:
            kernel = getattr(holder, name, None)
            if kernel is not None and (hasattr(kernel, "can_implement") or not callable(kernel)):
                return kernel
    return None


def _is_quantised_twice(module: Any) -> bool:
    """Whether loading ends because a method has to quantise anew what it cannot have in 16 bit (0.32, 0.33)."""
    source = getattr(getattr(module, "quant_method", None), "requantization_source", None)
    return source is not None and type(source).dequantize_weight.__qualname__.startswith("QuantizeMethodBase.")


def _shape(module: Any, kernel: Any) -> tuple[int, int]:
    """Weight rows and columns of this rank: what the kernel was chosen for, else the weight's, else the layer's."""
    shape = getattr(getattr(kernel, "config", None), "weight_shape", None)
    if shape is None:
        rows = getattr(module, "output_size_per_partition", getattr(module, "output_size", 1))
        columns = getattr(module, "input_size_per_partition", getattr(module, "input_size", 1))
        shape = (rows, columns)
    return int(shape[0]), int(shape[1])


def _reason(module: Any, kernel: Any) -> str:
    """Why HIPBMM was not chosen, in the words of its own `can_implement` where it was asked."""
    method = getattr(module, "quant_method", None)
    config = getattr(kernel, "config", None)
    if kernel is None or config is None:
        return f"{type(method).__name__}: no FP8 kernel with scales is asked for"
    answers: tuple[Any, ...] = ()
    with contextlib.suppress(ImportError, AttributeError, TypeError):
        wanted = getattr(importlib.import_module("vllm.model_executor.kernels.linear"), HIPBMM)
        answers = (wanted.is_supported(), wanted.can_implement(config))
    words = [str(text) for good, text in answers if not good]
    return words[0] if words else f"vLLM chose {type(kernel).__name__}"


def _language_modules(model: Any, notes: list[str]) -> set[int] | None:
    """The ids of the modules that see as many rows as there are tokens; None when these are all."""
    ask = getattr(model, "get_language_model", None)
    if ask is None:
        return None
    try:
        inner = ask()
    except (NotImplementedError, AttributeError, TypeError) as error:
        inner = getattr(getattr(model, "model", None), "decoder", None)  # Whisper names none
        if inner is None:
            notes.append(f"which part of the model is the language model is not known: {type(error).__name__}")
            return None
    modules = list(inner.modules())
    # Cross attention's `kv_proj` is given what the encoder made, once for each request (0.23.0 to 0.33.0).
    crossing = (each for each in modules if type(getattr(each, "attn", None)).__name__ == "CrossAttention")
    return {*map(id, modules)} - {id(getattr(each, "kv_proj", None)) for each in crossing}


def _called_while_loading(model: Any) -> set[int]:
    """Modules that are called with an identity of their own K while weights load: `kv_b_proj` of latent attention."""
    holders = (holder for holder in model.modules() if hasattr(holder, "process_weights_after_loading"))
    return {id(part) for holder in holders if (part := getattr(holder, "kv_b_proj", None)) is not None}
