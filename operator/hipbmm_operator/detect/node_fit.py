"""How many nodes fit one deployment, and why the others do not: ``status.hardware``, and HardwareCompatible."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from hipbmm_operator.api.conditions import Finding, false, true
from hipbmm_operator.api.reasons import Hardware, Unfit
from hipbmm_operator.api.status import HardwareStatus, NodeCount
from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind
from hipbmm_operator.detect.availability import default_tolerations, untolerated
from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE, compute_units_of, mode_of_resource
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES, product_named
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.reasons import State
from hipbmm_operator.detect.resource_choice import DRA_RESOURCE, EXTENDED_NAME
from hipbmm_operator.detect.sources.keys import OVERRIDE_LABEL
from hipbmm_operator.detect.sources.values import only, shown

_NAMED_NODES: Final = 3
_LONGEST_MESSAGE: Final = 1024

_NEAREST_FIRST: Final[tuple[Unfit, ...]] = get_args(Unfit)
_NOT_AVAILABLE: Final[frozenset[str]] = frozenset(_NEAREST_FIRST[:5])
_REMEDIES: Final[Mapping[str, str]] = {
    "LabelsMissing": f"label them {OVERRIDE_LABEL}, or roll the pods forward",
    "UnknownAMD": f"label them {OVERRIDE_LABEL}, or run AMD's node labeller",
    "NoDriver": "install the driver and the device plugin",
}
# No node has the right GPU: the condition says so plainly, and the message gives the counts.
_NO_SUCH_GPU: Final[frozenset[str]] = frozenset({"ProductMismatch", "NotMI3xx"})

_Refused = Mapping[Unfit, Sequence[Detection]]


@dataclass(frozen=True, slots=True)
class Want:
    """What one pod of a deployment asks of a node; no products means any known MI3xx.

    ``tolerations`` are the pod's own, ``kinds`` the kinds of label that its affinity reads.
    """

    products: tuple[str, ...] = ()
    resource: str = GPU_RESOURCE
    request: int = 1
    tolerations: Sequence[Mapping[str, Any]] = field(default_factory=default_tolerations)
    kinds: frozenset[LabelKind] = EVERY_KIND


@dataclass(frozen=True, slots=True)
class HardwareSummary:
    """HardwareCompatible, and the nodes: those without an AMD GPU count nowhere, so that they come and go unnoticed.

    Of nodes that fit, values that differ are joined by commas, and a differing number is None. ``kinds`` has by name
    what they are: rows that are tuned on one kind are of no use on another.
    """

    finding: Finding
    status: HardwareStatus
    kinds: Mapping[str, str] = field(default_factory=dict)


def summary(detections: Iterable[Detection], want: Want) -> HardwareSummary:
    """Sort all nodes by why they do not fit. The same detections in any order give the same summary."""
    matched: list[Detection] = []
    others: dict[str, list[Detection]] = {}
    for detection in detections:
        code = mismatch(detection, want)
        if code is None:
            matched.append(detection)
        elif detection.amd:
            others.setdefault(code, []).append(detection)
    refused = {code: others[code] for code in _NEAREST_FIRST if code in others}
    shapes = [_shape(detection, want) for detection in matched]
    status = HardwareStatus(
        product=_joined(detection.product for detection in matched),
        arch=_joined(detection.arch for detection in matched),
        compute_units=only({units for _, units in shapes}),
        partition=_joined(mode for mode, _ in shapes),
        nodes=len(matched),
        reasons=[NodeCount(reason=code, nodes=len(nodes)) for code, nodes in refused.items()],
    )
    kinds = {
        detection.node: f"{detection.product}/{mode}/{units}"
        for detection, (mode, units) in sorted(zip(matched, shapes, strict=True), key=lambda each: each[0].node)
    }
    return HardwareSummary(_finding(status, refused, want), status, kinds)


def mismatch(detection: Detection, want: Want) -> str | None:
    """Why a pod of this deployment does not fit on a node, as a code, or None when it does."""
    if want.resource == DRA_RESOURCE and detection.claimable and detection.state is not State.EXCLUDED:
        return _claim_mismatch(detection, want)
    if detection.state not in {State.AVAILABLE, State.NOT_AVAILABLE, State.NO_DRIVER}:
        return detection.state.value
    if detection.product not in (want.products or PRODUCT_NAMES):
        return "ProductMismatch"
    if detection.state is State.NO_DRIVER:
        return "NoDriver"
    return _resource_mismatch(detection, want) or _blocked(detection, want) or _too_few(_offered(detection, want), want)


def _claim_mismatch(detection: Detection, want: Want) -> str | None:
    """A claim chooses devices, and with them the node: neither its labels nor its other GPUs matter."""
    fitting = [count for product, count in detection.claimable.items() if product in (want.products or PRODUCT_NAMES)]
    if not fitting:
        return "ProductMismatch"
    return _blocked(detection, want) or _too_few(max(fitting), want)


def _resource_mismatch(detection: Detection, want: Want) -> str | None:
    if want.resource == detection.resource == GPU_RESOURCE and not detection.whole:
        return "PartitionMismatch"
    offered = {
        offer.resource for offer in detection.offers if offer.allocatable > 0 or offer.resource == detection.resource
    }
    if detection.resource != want.resource and (want.resource == GPU_RESOURCE or want.resource not in offered):
        return "ResourceMismatch"
    return "LabelsMissing" if want.kinds.isdisjoint(detection.chosen_by) else None


def _blocked(detection: Detection, want: Want) -> str | None:
    """What keeps pods from the node, whatever GPUs it has."""
    if detection.blockers:
        return detection.blockers[0].code
    return "NodeTainted" if untolerated(detection.taints, want.tolerations) else None


def _offered(detection: Detection, want: Want) -> int:
    return next((offer.allocatable for offer in detection.offers if offer.resource == want.resource), detection.gpus)


def _too_few(allocatable: int, want: Want) -> str | None:
    if allocatable == 0:
        return "NoAllocatable"
    return "NotEnoughGPUs" if allocatable < want.request else None


def _shape(detection: Detection, want: Want) -> tuple[str | None, int | None]:
    """Mode and compute units of what the pod gets; it may ask for another partition than the node's first resource."""
    if want.resource == DRA_RESOURCE and detection.claims_differ:
        return None, None
    mode = mode_of_resource(want.resource)
    product = product_named(detection.product)
    if mode is None or product is None or detection.resource == want.resource:
        return detection.partition, detection.compute_units
    return mode, compute_units_of(product, mode)


def _joined(values: Iterable[str | None]) -> str | None:
    return ",".join(sorted({value for value in values if value is not None})) or None


def _finding(status: HardwareStatus, refused: _Refused, want: Want) -> Finding:
    message = _message(status.nodes, refused, want)[:_LONGEST_MESSAGE]
    if not status.nodes:
        return false("HardwareCompatible", _reason(refused), message)
    if "," in (status.arch or ""):
        mixed = f"they are of several architectures ({status.arch}), each tuned for by itself"
        return true("HardwareCompatible", "MixedArchitectures", f"{message}; {mixed}: spec.gpu.products chooses")
    return true("HardwareCompatible", "NodesMatched", message)


def _reason(refused: _Refused) -> Hardware:
    nearest = next(iter(refused), None)
    if nearest is None or nearest in _NO_SUCH_GPU:
        return "NoMatchingNodes"
    return "NotAvailable" if len(_NOT_AVAILABLE.intersection(refused)) > 1 else nearest


def _message(matched: int, refused: _Refused, want: Want) -> str:
    asked = f"{' or '.join(want.products) or 'any MI3xx'}, {want.request} {want.resource}"
    parts = [
        f"{len(nodes)} {code}" + ("" if matched else _named(nodes)) + _remedy(code, nodes[0])
        for code, nodes in refused.items()
    ]
    if matched:
        return f"{matched} {'node fits' if matched == 1 else 'nodes fit'} ({asked})" + (
            f"; not used: {', '.join(parts)}" if parts else ""
        )
    return f"no node fits ({asked}): " + (", ".join(parts) or "no node has an AMD GPU")


def _remedy(code: str, detection: Detection) -> str:
    """What a person can do about nodes that do not fit, where it is the same for all of them."""
    if code in _REMEDIES:
        return f" ({_REMEDIES[code]})"
    if code == "ResourceMismatch" and detection.resource == DRA_RESOURCE:
        return f" (DRA devices need {EXTENDED_NAME}, or spec.gpu.deviceClassName)"
    return ""


def _named(nodes: Sequence[Detection]) -> str:
    """The first few names."""
    first = ", ".join(shown(name) for name in sorted(found.node for found in nodes)[:_NAMED_NODES])
    return f" ({first}{', ...' if len(nodes) > _NAMED_NODES else ''})"
