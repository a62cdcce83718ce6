"""From evidence to one identity: which tier wins, and what to do when tiers disagree or one names several products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from hipbmm_operator.detect.catalogue.products import GpuModel
from hipbmm_operator.detect.evidence import Evidence, Tier
from hipbmm_operator.detect.reasons import Reason, State

HOLD_SECONDS: Final = 600.0
_OTHER: Final = "not MI3xx"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the evidence comes to: a ``model``, or the ``state`` of a node that is no single MI3xx.

    ``arch`` is also set for several products of one architecture; ``tier`` is the winner's.
    """

    state: State | None
    tier: Tier | None
    reasons: tuple[Reason, ...]
    model: GpuModel | None = None
    arch: str | None = None


def resolve(evidence: Sequence[Evidence], *, amd: bool) -> Resolution:
    """Judge the evidence, most trusted first. ``amd`` says whether anything else shows an AMD GPU."""
    usable = [found for found in evidence if not found.generic] or list(evidence)
    if not usable:
        return _unidentified(amd=amd)
    winner = usable[0]
    if winner.tier is not Tier.OVERRIDE:
        conflict = _conflict(usable)
        if conflict is not None:
            return Resolution(State.CONFLICT, winner.tier, (conflict,))
    arches = {model.arch for model in winner.models}
    if arches == {None}:
        return Resolution(State.NOT_MI3XX, winner.tier, (Reason("NotMI3xx", winner.claim),))
    if len({model.key for model in winner.models}) > 1:
        reason = Reason("MixedProducts", f"{winner.claim}: one resource would hand out any of them")
        return Resolution(State.MIXED, winner.tier, (reason,), arch=arches.pop() if len(arches) == 1 else None)
    model = _folded(winner)
    reasons = (*_remarks(winner, model), *_doubts(winner, model, usable[1:]))
    return Resolution(None, winner.tier, reasons, model, model.arch)


def _unidentified(*, amd: bool) -> Resolution:
    if not amd:
        return Resolution(State.NOT_MI3XX, None, (Reason("NoAMDGPU", "nothing shows an AMD GPU"),))
    detail = "there are AMD GPUs, but no device id, product name or instance type says which"
    return Resolution(State.UNKNOWN_AMD, None, (Reason("Unidentified", detail),))


def _conflict(evidence: Sequence[Evidence]) -> Reason | None:
    """The first two id tiers whose architectures cannot both be true.

    A tier may see another AMD GPU beside the MI3xx that the other one does not (a display on the bus without a driver):
    that alone is no conflict.
    """
    for first, second in combinations([found for found in evidence if found.tier.by_id], 2):
        one, other = ({model.arch for model in each.models} - {None} for each in (first, second))
        if one != other:
            return Reason("ConflictingIds", f"{_claim(first)}, {_claim(second)}")
    return None


def _claim(evidence: Evidence) -> str:
    arches = ", ".join(sorted({model.arch or _OTHER for model in evidence.models}))
    return f"{evidence.claim} ({arches})"


def _folded(winner: Evidence) -> GpuModel:
    """One model for evidence of one product; physical and virtual ids together leave open which of them pods get."""
    model = min(winner.models, key=lambda model: model.shown)
    return replace(model, virtual=None) if _both_functions(winner) else model


def _both_functions(evidence: Evidence) -> bool:
    return len({model.virtual for model in evidence.models}) > 1


def _remarks(winner: Evidence, model: GpuModel) -> Iterator[Reason]:
    """What is odd about an identity."""
    if _both_functions(winner):
        yield Reason("PhysicalAndVirtual", f"{winner.claim}: physical and virtual functions")
    if model.product is None:
        yield Reason("UnknownProduct", f"device id {model.shown} is {model.arch}, its product is not known")
    if winner.tier is Tier.OVERRIDE:
        yield Reason("UserOverride", winner.claim)
    if winner.tier is Tier.CLOUD:
        yield Reason("HintOnly", f"only {winner.claim}; a claim about the machine, not its software")


def _doubts(winner: Evidence, model: GpuModel, others: Sequence[Evidence]) -> Iterator[Reason]:
    """What less trusted evidence says otherwise; it changes nothing."""
    for other in others:
        if model.key in {found.key for found in other.models}:
            if other.tier.by_id and any(found.arch is None for found in other.models):
                yield Reason("OtherGPUs", other.claim)
            continue
        code = "ProductMismatch" if other.tier.by_id and winner.tier.by_id else "NameMismatch"
        yield Reason(code, f"{winner.claim}, {other.claim}; the former counts")


@dataclass(frozen=True, slots=True)
class Identity:
    """The last identity that evidence confirmed, of which tier, and when (seconds, the clock of ``now``)."""

    model: GpuModel
    compute_units: int | None
    partition: str | None
    tier: Tier
    seen: float


def held(previous: Identity | None, resolution: Resolution, now: float) -> Identity | None:
    """The previous identity while it takes the place of evidence that is gone or too weak to change it, else None.

    What device ids (or a person) say takes effect at once. Anything else must confirm the identity with as much
    confidence as before, or wait until HOLD_SECONDS have passed without confirmation. A clock that went backwards
    counts as no time.
    """
    if previous is None or now - previous.seen > HOLD_SECONDS:
        return None
    tier = resolution.tier
    if tier is None:
        return previous
    if tier.trusted:
        return None
    same = resolution.model is not None and resolution.model.key == previous.model.key
    return None if same and tier.confidence == previous.tier.confidence else previous
