"""The result for one node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hipbmm_operator.detect.affinity import LabelKind
from hipbmm_operator.detect.catalogue.partitions import SPX
from hipbmm_operator.detect.catalogue.products import FP8_TYPES, product_named
from hipbmm_operator.detect.identity import Identity
from hipbmm_operator.detect.reasons import Reason, State
from hipbmm_operator.detect.sources.facts import Offer, Taint


@dataclass(frozen=True, slots=True)
class Detection:
    """What a node is, and whether pods can start on it.

    ``compute_units`` is per logical device; ``gpus`` counts the allocatable logical devices of ``resource`` (a CPX
    MI300X is eight). ``claimable`` counts by product the devices that DRA offers, whatever they can be asked for as;
    ``claims_differ``: some of them are of another shape than those of ``resource`` (AutoPartition).
    ``blockers`` keep every pod away, ``taints`` those that do not tolerate them. ``amd`` is false for a node without
    any AMD GPU. ``chosen_by`` are the kinds of label by which an affinity can choose this node, ``shows`` those that
    templates should read because of it. ``identity`` is to be given back as ``previous`` next time. An unknown value is
    None.
    """

    node: str
    state: State
    product: str | None
    arch: str | None
    virtual: bool | None
    compute_units: int | None
    partition: str | None
    confidence: str | None
    resource: str | None
    gpus: int
    claimable: Mapping[str, int]
    claims_differ: bool
    reasons: tuple[Reason, ...]
    blockers: tuple[Reason, ...]
    taints: tuple[Taint, ...]
    offers: tuple[Offer, ...]
    amd: bool
    stale: bool
    chosen_by: tuple[LabelKind, ...]
    shows: frozenset[LabelKind]
    identity: Identity | None

    @property
    def fp8(self) -> str | None:
        """The FP8 type of the architecture: ``e4m3fnuz`` on gfx942, ``e4m3fn`` on gfx950."""
        return FP8_TYPES.get(self.arch) if self.arch is not None else None

    @property
    def whole(self) -> bool:
        """Whether one device of ``resource`` is known to be a whole GPU."""
        product = product_named(self.product)
        return product is not None and self.partition == SPX and self.compute_units == product.compute_units

    def as_dict(self) -> Mapping[str, Any]:
        """The object that ``detect -o json`` prints."""
        return {
            "node": self.node,
            "state": self.state.value,
            "product": self.product,
            "arch": self.arch,
            "virtual": self.virtual,
            "computeUnits": self.compute_units,
            "partition": self.partition,
            "fp8": self.fp8,
            "confidence": self.confidence,
            "resource": self.resource,
            "gpus": self.gpus,
            "reasons": [str(reason) for reason in self.reasons],
        }
