"""The linears of a config.json by the built-in planner: architecture, quantisation, and vLLM's choice of a kernel."""

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.planner import quantisation, vllm_version
from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.plan import CONFIG, UNKNOWN, Options, Plan, PlannedLinear
from hipbmm_kernel.planner.quantisation import Quantisation
from hipbmm_kernel.planner.shapes import families, towers
from hipbmm_kernel.planner.shapes.module import TOWERS, Model, Module, short_name
from hipbmm_kernel.rows.gemm import Linear

_NESTED_PREFIXES = (
    "language_model.model.",
    "model.language_model.",
    "language_model.",
    "model.text_model.",
    "llm.model.",
    "model.",
)
"""Before a module of a model within another; the last one is that of the text model alone."""
_OTHER_BACKENDS = ("aiter", "torch")
"""Values of --linear-backend that have an FP8 kernel for ROCm, which is not HIPBMM; others leave vLLM's own choice."""


def of_model(whole: Fields, options: Options) -> Plan:
    """Architecture, linears and what is left out, without tokens and problems."""
    name = families.architecture(whole)
    family = families.find(whole)
    if family is None:
        return Plan(name, UNKNOWN, unsure=True)
    text = whole.language()
    flags = options.flags
    ranks = options.tensor_parallel
    replicated = flags.expert_parallel and ranks > 1 and (flags.data_parallel or 1) > 1
    model = Model(text, whole, ranks, 1 if flags.encoder_mode == "data" else ranks, replicated, options.vllm)
    found = quantisation.of(whole, text, flags, options.vllm)
    dtype, no_kernel = _dtype(whole, text, flags.dtype), _no_kernel(options)
    grouped: dict[PlannedLinear, int] = {}
    tower, sure = towers.find(model, family, flags.no_input) if not flags.language_only else ((), True)
    for module in (*family.modules(model), *tower):
        planned = _planned(module, found, dtype, no_kernel, nested=text is not whole)
        grouped[planned] = grouped.get(planned, 0) + 1
    linears = tuple(each._replace(linear=each.linear._replace(copies=count)) for each, count in grouped.items())
    left_out = (*family.left_out, ("lm_head and embeddings", "not linear layers of vLLM"))
    warnings: tuple[str, ...] = ("the draft model's own linears are not in the plan",) if flags.draft_model else ()
    if found.head:
        warnings += ("the checkpoint quantises lm_head, too, which is not in the plan",)
    if not sure:
        warnings += ("the linears outside the language model are not known, nor whether HIPBMM can load them",)
    return Plan(
        name,
        CONFIG,
        linears,
        left_out=left_out,
        warnings=warnings,
        quantisation=found.label,
        unsure=not sure or flags.draft_model or found.head,
    )


def _no_kernel(options: Options) -> str:
    """Why this server has no HIPBMM kernel to choose at all; "" when it has."""
    if options.has_kernel is False:
        return "the image's vLLM has no HIPBMM kernel"
    if options.has_kernel is None and options.vllm < vllm_version.FIRST_WITH_KERNEL:
        return f"vLLM {options.vllm} has no HIPBMM kernel, which came with {vllm_version.FIRST_WITH_KERNEL}"
    backend = options.flags.linear_backend
    if backend == "auto" or (options.vllm >= vllm_version.BACKENDS_FALL_BACK and backend not in _OTHER_BACKENDS):
        return options.disabled
    return f"--linear-backend {backend} leaves the HIPBMM kernel out: use auto"


def _planned(module: Module, found: Quantisation, dtype: str, no_kernel: str, *, nested: bool) -> PlannedLinear:
    """One module with its eligibility, in the words of vLLM's `can_implement` where that decides."""
    n, k = module.n, module.k
    linear = Linear(n, k, module.bias, short_name(module.path))
    if module.unquantised:
        return PlannedLinear(linear, module.unquantised)
    prefixes = _NESTED_PREFIXES if nested else ("model.",)
    scheme = found.scheme(module, ("",) if module.path.startswith(TOWERS) else prefixes)
    reason = scheme.reason or eligibility.can_implement(n, k, dtype, scheme.per_token, scheme.per_channel) or no_kernel
    if reason:
        return PlannedLinear(linear, reason)
    fatal = eligibility.shuffle_reason(n, k) or ""
    return PlannedLinear(linear, fatal or module.untuned, fatal, module.load_tokens)


def _dtype(whole: Fields, text: Fields, flag: str) -> str:
    """The type activations have in vLLM: what a config says is bfloat16 on ROCm, but for float16.

    float32 is made smaller, and what the platform cannot compute with (float8_e4m3fn) falls back to its first type
    (`_resolve_auto_dtype` of 0.33.0).
    """
    name = flag.lower()
    if name in ("half", "float16"):
        return "float16"
    if name in ("bfloat16", "float32", "float"):
        return "float32" if name == "float" else name
    for fields in (text, whole):
        for field in ("dtype", "torch_dtype"):  # transformers takes the newer name where both are there
            given = fields.raw(field)
            if isinstance(given, str):
                return "float16" if given.removeprefix("torch.") in ("float16", "half") else eligibility.BFLOAT16
    return eligibility.BFLOAT16
