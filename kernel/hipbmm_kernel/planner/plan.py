"""The plan: every problem of one model, parallelism and command line, with what was left out and why.

A pure function of the config.json's bytes and of options; no GPU, no torch, no vLLM.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.planner import cost, model_config, vllm_version
from hipbmm_kernel.planner import tokens as token_counts
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version
from hipbmm_kernel.rows.gemm import Linear, Problem

CONFIG = "Config"
IMAGE = "Image"
EXPLICIT = "Explicit"
UNKNOWN = "Unknown"

MAX_TENSOR_PARALLEL = 1024


class Options(NamedTuple):
    """What a plan depends on beside the config.json.

    `has_kernel` says whether the image's vLLM has the HIPBMM kernel (None: its version decides), `disabled` why the
    server's environment leaves it out. `linears` are the explicit ones of `spec.tuning.linears`, `tokens` replaces
    vLLM's list, `product` is only for the estimate.
    """

    tensor_parallel: int = 1
    vllm: Version = vllm_version.NEWEST
    has_kernel: bool | None = None
    disabled: str = ""
    flags: ServerFlags = ServerFlags()
    linears: tuple[Linear, ...] = ()
    tokens: tuple[int, ...] = ()
    product: str | None = None


class PlannedLinear(NamedTuple):
    """A linear of the plan. `reason` says why it is not eligible ("" when it is), `fatal` why vLLM dies loading it."""

    linear: Linear
    reason: str = ""
    fatal: str = ""
    load_tokens: int = 0

    @property
    def eligible(self) -> bool:
        """Whether calls of this linear can find a row."""
        return not self.reason


class Plan(NamedTuple):
    """All problems, hot first: small M, then the most used linear.

    `source` is Image, Config, Explicit (only the options' linears) or Unknown; `reason` is "" or the reason of the
    report that a plan without problems, or one that the kernel cannot serve, leads to, and `message` says it in a
    sentence. `incompatible` names the linears that end vLLM while it loads weights with HIPBMM on; `unsure` says that
    there may be more of them.
    """

    architecture: str
    source: str
    linears: tuple[PlannedLinear, ...] = ()
    tokens: token_counts.Tokens = token_counts.Tokens((), (), frozenset())
    problems: tuple[Problem, ...] = ()
    estimate: tuple[float, float] = (0.0, 0.0)
    left_out: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    quantisation: str = "none"
    unsure: bool = False
    reason: str = ""
    message: str = ""

    @property
    def incompatible(self) -> tuple[PlannedLinear, ...]:
        """Linears that pass vLLM's gate and then fail AITER's assertion at load."""
        return tuple(planned for planned in self.linears if planned.fatal)

    @property
    def biased(self) -> frozenset[tuple[int, int]]:
        """(N, K) that are tuned with a bias, as their most used linear has one: AITER's row key does not say it."""
        shapes = _shapes(self.linears)
        return frozenset(shape for shape, (copies, biased) in shapes.items() if biased * 2 > copies)

    @property
    def calls(self) -> frozenset[tuple[int, int, bool]]:
        """(N, K, bias) of all eligible linears: what the server calls."""
        return frozenset(each.linear[:3] for each in self.linears if each.eligible)


def build(config: bytes | None, options: Options) -> Plan:
    """The plan of a model. ConfigInvalid when the config, or the parallelism on it, cannot be planned.

    `config` None means that there is no config.json: only the options' own linears are planned.
    """
    size = options.tensor_parallel
    if not 1 <= size <= MAX_TENSOR_PARALLEL:
        raise model_config.ConfigInvalid("--tensor-parallel-size", size, f"must be between 1 and {MAX_TENSOR_PARALLEL}")
    flags = options.flags._replace(tensor_parallel=size)
    options = options._replace(flags=flags)
    plan = Plan("", EXPLICIT if options.linears else UNKNOWN)
    if config is not None:
        from hipbmm_kernel.planner import from_config  # noqa: PLC0415 - what the image answered needs nothing of it

        plan = from_config.of_model(model_config.parse(config), options)
        flags = token_counts.for_model(flags, plan.architecture, options.vllm)
    named = tuple(map(explicit, options.linears))
    plan = plan._replace(
        linears=plan.linears + named,
        tokens=token_counts.plan(flags, options.vllm, options.tokens),
        warnings=plan.warnings
        + tuple(f"not read: {argument}" for argument in flags.unread)
        + token_counts.doubts(flags, options.vllm),
        source=EXPLICIT if plan.source == UNKNOWN and named else plan.source,
    )
    return finished(plan, options, missing_config=config is None)


def explicit(linear: Linear) -> PlannedLinear:
    """A linear that the user names: a PTPC FP8 one by assumption."""
    n, k = linear.n, linear.k
    reason = eligibility.can_implement(n, k, eligibility.BFLOAT16, per_token=True, per_channel=True)
    reason = reason or eligibility.shuffle_reason(n, k) or ""
    return PlannedLinear(linear._replace(name=linear.name or f"{n}x{k}"), reason)


def finished(plan: Plan, options: Options, *, missing_config: bool) -> Plan:
    """The plan with its problems, estimate, warnings and verdict."""
    problems = _problems(plan.linears, plan.tokens.planned)
    reason, message = _verdict(plan, problems, missing_config=missing_config)
    if reason:
        problems = ()
    mixed = [shape for shape, (copies, biased) in _shapes(plan.linears).items() if 0 < biased < copies]
    words = "with and without bias share one row: AITER's key has no bias"
    return plan._replace(
        problems=problems,
        estimate=cost.estimate(problems, options.product),
        warnings=plan.warnings + tuple(f"linears of {n}x{k} {words}" for n, k in mixed),
        reason=reason,
        message=message,
    )


def thinned(plan: Plan, product: str | None) -> Plan:
    """The plan of a server that pads the sizes between those of the grid: the same linears, fewer problems."""
    kept = token_counts.thinned(plan.tokens)
    if not plan.problems or kept == plan.tokens:
        return plan
    problems = _problems(plan.linears, kept.planned)
    return plan._replace(tokens=kept, problems=problems, estimate=cost.estimate(problems, product))


def _problems(linears: Iterable[PlannedLinear], planned: tuple[int, ...]) -> tuple[Problem, ...]:
    """The product of eligible shapes and tokens, hot first, and what only loading the weights asks for."""
    linears = tuple(linears)
    shapes = {shape: copies for shape, (copies, _) in _shapes(linears).items()}
    wanted = {Problem(m, n, k) for n, k in shapes for m in planned}
    wanted |= {
        Problem(each.load_tokens, each.linear.n, each.linear.k)
        for each in linears
        if each.load_tokens and each.eligible and planned
    }
    return tuple(sorted(wanted, key=lambda problem: (problem.m, -shapes[problem.n, problem.k], problem.n, problem.k)))


def _shapes(linears: Iterable[PlannedLinear]) -> dict[tuple[int, int], tuple[int, int]]:
    """Eligible (N, K) -> how many modules have it, and how many of them with a bias."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for planned in linears:
        if planned.eligible:
            linear = planned.linear
            copies, biased = found.get((linear.n, linear.k), (0, 0))
            found[linear.n, linear.k] = (copies + linear.copies, biased + linear.copies * linear.bias)
    return found


def _verdict(plan: Plan, problems: tuple[Problem, ...], *, missing_config: bool) -> tuple[str, str]:
    """Reason and message of a plan that tunes nothing; two empty texts for one that does."""
    if plan.incompatible:
        first = plan.incompatible[0]
        return "KernelIncompatible", f"vLLM would die loading {first.linear.name} with HIPBMM on: {first.fatal}"
    if problems:
        return "", ""
    if missing_config and not plan.linears:
        found = "no config.json of the model was found, so nothing is planned"
        return "ConfigMissing", f"{found}; spec.model.configMapRef can name one"
    if plan.source == UNKNOWN:
        named = f"architecture {plan.architecture}" if plan.architecture else "a config.json without architectures"
        return "UnknownArchitecture", f"{named} is not one whose linears are known: online tuning fills the table"
    if not plan.tokens.planned:
        return "NoEligibleLinears", "no token count up to 512 is left to plan"
    reasons = list(dict.fromkeys(planned.reason for planned in plan.linears))
    return "NoEligibleLinears", f"no linear reaches the HIPBMM kernel: {'; '.join(reasons[:3])}"
