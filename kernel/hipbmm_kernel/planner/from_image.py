"""The plan that the image's own vLLM has answered, in the words of every other plan. Pure."""

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.answer import Answer, ImageLinear
from hipbmm_kernel.planner.plan import Options, Plan, PlannedLinear
from hipbmm_kernel.planner.shapes.module import short_name
from hipbmm_kernel.planner.tokens import Tokens, overridden
from hipbmm_kernel.rows.gemm import Linear

_PATCHES = "outside the language model: its M is not the number of tokens"


def build(found: Answer, options: Options) -> Plan:
    """The plan of an answer, with the linears and tokens that the options name beside or instead of it."""
    tokens = Tokens(found.captured, found.planned, frozenset(found.eager))
    made = Plan(
        found.architecture,
        plan.IMAGE,
        linears=tuple(map(_planned, found.linears)) + tuple(map(plan.explicit, options.linears)),
        tokens=overridden(tokens, options.tokens) if options.tokens else tokens,
        left_out=(("what vLLM runs outside its linear layers", "experts, embeddings and lm_head"),),
        warnings=found.notes,
        quantisation=found.quantisation,
    )
    return plan.finished(made, options, missing_config=False)


def _planned(found: ImageLinear) -> PlannedLinear:
    """A linear with the reason of its own vLLM, and with AITER's assertion, which vLLM does not ask."""
    linear = Linear(found.n, found.k, found.bias, short_name(found.path), found.copies)
    if not found.hipbmm:
        return PlannedLinear(linear, found.reason or "vLLM chose another kernel")
    fatal = eligibility.shuffle_reason(found.n, found.k) or ""
    return PlannedLinear(linear, fatal or (_PATCHES if found.tower else ""), fatal, found.load_tokens)
