"""From evidence to one identity: which tier wins, and what to do when tiers disagree or one names several products."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    model: GpuModel | None
    arch: str | None
    reasons: tuple[Reason, ...]


def resolve(evidence: Sequence[Evidence], *, amd: bool) -> Resolution:
    """Judge the evidence, most trusted first. ``amd`` says whether anything else shows an AMD GPU."""
    usable = [found for found in evidence if not found.generic] or list(evidence)
    if not usable:
        return _unidentified(amd=amd)
    winner = usable[0]
    if winner.tier is not Tier.OVERRIDE:
        conflict = _conflict(usable)
        if conflict is not None:
            return Resolution(State.CONFLICT, winner.tier, None, None, (conflict,))
    arches = {model.arch for model in winner.models}
    if arches == {None}:
        reason = Reason("NotMI3xx", f"{winner.source} says {winner.shown}")
        return Resolution(State.NOT_MI3XX, winner.tier, None, None, (reason,))
    if len({model.key for model in winner.models}) > 1:
        reason = Reason(
            "MixedProducts", f"{winner.source} says {winner.shown}: one resource would hand out any of them"
        )
        return Resolution(State.MIXED, winner.tier, None, arches.pop() if len(arches) == 1 else None, (reason,))
    model, reasons = _fold(winner)
    return Resolution(None, winner.tier, model, model.arch, reasons + _doubts(winner, model, usable[1:]))


def _unidentified(*, amd: bool) -> Resolution:
    if amd:
        reason = Reason(
            "Unidentified", "there are AMD GPUs, but no device id, product name or instance type says which"
        )
        return Resolution(State.UNKNOWN_AMD, None, None, None, (reason,))
    return Resolution(State.NOT_MI3XX, None, None, None, (Reason("NoAMDGPU", "nothing shows an AMD GPU"),))


def _conflict(evidence: Sequence[Evidence]) -> Reason | None:
    """The first two id tiers whose architectures cannot both be true.

    A tier may see another AMD GPU beside the MI3xx that the other one does not (a display on the bus without a driver):
    that alone is no conflict.
    """
    for first, second in combinations([found for found in evidence if found.tier.by_id], 2):
        if _contradict(first, second):
            return Reason("ConflictingIds", f"{_claim(first)}, {_claim(second)}")
    return None


def _contradict(first: Evidence, second: Evidence) -> bool:
    one = {model.arch for model in first.models} - {None}
    other = {model.arch for model in second.models} - {None}
    return bool(one or other) and one != other


def _claim(evidence: Evidence) -> str:
    arches = ", ".join(sorted({model.arch or _OTHER for model in evidence.models}))
    return f"{evidence.source} says {evidence.shown} ({arches})"


def _fold(winner: Evidence) -> tuple[GpuModel, tuple[Reason, ...]]:
    """One model for evidence of one product; physical and virtual ids together leave open which of them pods get."""
    models = sorted(winner.models, key=lambda model: model.shown)
    model = models[0]
    reasons: list[Reason] = []
    if len({found.virtual for found in models}) > 1:
        model = GpuModel(model.key, model.shown, model.arch, model.product, None)
        reasons.append(
            Reason("PhysicalAndVirtual", f"{winner.source} says {winner.shown}: physical and virtual functions")
        )
    if model.product is None:
        reasons.append(Reason("UnknownProduct", f"device id {model.shown} is {model.arch}, its product is not known"))
    if winner.tier is Tier.OVERRIDE:
        reasons.append(Reason("UserOverride", f"{winner.source} says {winner.shown}"))
    if winner.tier is Tier.CLOUD:
        reasons.append(
            Reason("HintOnly", f"only {winner.source} says {winner.shown}; a claim about the machine, not its software")
        )
    return model, tuple(reasons)


def _doubts(winner: Evidence, model: GpuModel, others: Sequence[Evidence]) -> tuple[Reason, ...]:
    """What less trusted evidence says otherwise; it changes nothing."""
    reasons = []
    for other in others:
        if model.key in {found.key for found in other.models}:
            if other.tier.by_id and any(found.arch is None for found in other.models):
                reasons.append(Reason("OtherGPUs", f"{other.source} says {other.shown}"))
            continue
        code = "ProductMismatch" if other.tier.by_id and winner.tier.by_id else "NameMismatch"
        reasons.append(
            Reason(code, f"{winner.source} says {winner.shown}, {other.source} says {other.shown}; the former counts")
        )
    return tuple(reasons)


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
