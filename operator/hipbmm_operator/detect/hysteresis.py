"""Labels move (a labeller restarts, an upgrade renames a product); what a node is does not.

So an identity outlives its labels a while.
"""

from dataclasses import dataclass
from typing import Final

from hipbmm_operator.detect.evidence import Tier
from hipbmm_operator.detect.identity import Resolution, Verdict
from hipbmm_operator.detect.products import GpuModel

HOLD_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The last identity that evidence confirmed, of which tier, and when (seconds, the clock of ``now``)."""

    model: GpuModel
    compute_units: int | None
    partition: str | None
    tier: Tier
    seen: float


def held(previous: Identity | None, resolution: Resolution, now: float) -> Identity | None:
    """The previous identity while it stands in for evidence that is gone or too weak to change it, else None.

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
    same = (
        resolution.verdict is Verdict.MI3XX
        and resolution.model is not None
        and resolution.model.key == previous.model.key
    )
    return None if same and tier.confidence == previous.tier.confidence else previous
