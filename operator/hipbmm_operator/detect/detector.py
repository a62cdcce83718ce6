"""From one Node, and what DRA and NFD publish about it, to one Detection."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from hipbmm_operator.detect.affinity import chosen_by, kinds_shown
from hipbmm_operator.detect.availability import node_blockers, resource_blockers, untolerated
from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.evidence import Tier, gather, is_amd, override_model
from hipbmm_operator.detect.identity import HOLD_SECONDS, Identity, Resolution, held, resolve
from hipbmm_operator.detect.partition_shape import shape_of
from hipbmm_operator.detect.reasons import Reason, State
from hipbmm_operator.detect.resource_choice import DRA_RESOURCE, ResourceChoice, choose_resource, claimable
from hipbmm_operator.detect.sources.facts import NodeFacts, node_facts
from hipbmm_operator.detect.sources.keys import OVERRIDE_LABEL
from hipbmm_operator.detect.sources.labels import unhealthy_gpus
from hipbmm_operator.detect.sources.values import shown

_LABELS_MISSING: Final = Reason(
    "LabelsMissing", f"no label that an affinity could read names the product; label the node {OVERRIDE_LABEL}"
)
_GPU_RESOURCE_MISSING: Final = Reason(
    "GPUResourceMissing", "no amd.com resource and no DRA device: the driver or the device plugin is missing"
)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was read about a node and what it comes to; then what the node is taken for, with the memory of it.

    ``facts`` have of its DRA devices those that its resource hands out; a claim may choose others, too. ``kept``: by
    the remembered identity, not by what was seen now. ``tier`` is that of the evidence, also where it comes to no
    identity; ``odd`` is what is odd about the shape.
    """

    facts: NodeFacts
    resolution: Resolution
    choice: ResourceChoice
    amd: bool
    identity: Identity | None
    tier: Tier | None
    kept: bool = False
    odd: tuple[Reason, ...] = ()


def detect_node(
    node: Mapping[str, Any],
    slices: Iterable[Mapping[str, Any]],
    features: Iterable[Mapping[str, Any]],
    tolerations: Sequence[Mapping[str, Any]],
    previous: Identity | None,
    now: float,
    *,
    used: Mapping[str, int] | None = None,
    request: int = 1,
    extended: Mapping[str, bool] = MappingProxyType({}),
) -> Detection:
    """Judge one node; never raises, whatever the objects hold.

    ``slices`` and ``features`` may hold those of other nodes, which are passed over; give them by node when there are
    many. ``previous`` is the ``identity`` of the node's last Detection and ``now`` the time in seconds of the same
    clock. ``used`` is what pods hold of each resource (see ``gpu_requests``), ``request`` the devices that one pod
    wants, ``extended`` the resources that DeviceClasses hand out DRA devices as (see ``extended_resources``).
    """
    facts = node_facts(node, slices, features)
    judged = _judge(facts, extended, previous, now)
    choice, identity = judged.choice, judged.identity
    model = identity.model if identity else None
    chosen = chosen_by(model.product if model else None, facts.labels)
    blockers = tuple(node_blockers(facts))
    missing = resource_blockers(choice, used=(used or {}).get(choice.name or "", 0), request=request)
    tainted = (Reason("NodeTainted", shown(str(taint))) for taint in untolerated(facts.taints, tolerations))
    away = (*blockers, *missing, *tainted)
    return Detection(
        node=facts.name,
        state=_state(judged, blocked=bool(away)),
        product=model.product if model else None,
        arch=model.arch if model else judged.resolution.arch,
        virtual=model.virtual if model else None,
        compute_units=identity.compute_units if identity else None,
        partition=identity.partition if identity else None,
        confidence=judged.tier.confidence if judged.tier is not None else None,
        resource=choice.name,
        gpus=choice.gpus,
        claimable=claimable(facts.dra, model),
        claims_differ=judged.facts.dra != facts.dra,
        reasons=_reasons(judged, away, reachable=bool(chosen)),
        blockers=blockers,
        taints=facts.taints,
        offers=facts.offers,
        amd=judged.amd or judged.kept,
        stale=judged.kept,
        chosen_by=chosen,
        shows=kinds_shown(chosen, facts.labels),
        identity=identity,
    )


def _judge(facts: NodeFacts, extended: Mapping[str, bool], previous: Identity | None, now: float) -> _Judged:
    evidence, amd = gather(facts), is_amd(facts)
    resolution = resolve(evidence, amd=amd)
    if facts.dra.auto and extended.get(GPU_RESOURCE):
        facts = replace(facts, dra=facts.dra.whole)
    choice = choose_resource(facts.offers, facts.dra, extended)
    judged = partial(_Judged, facts, resolution, choice, amd or bool(evidence))
    kept = held(previous, resolution, now)
    if kept is not None:
        return judged(kept, kept.tier, kept=True)
    if resolution.model is None or resolution.tier is None:
        return judged(None, None if resolution.state is State.CONFLICT else resolution.tier)
    shape = shape_of(resolution.model, choice, facts)
    identity = Identity(resolution.model, shape.compute_units, shape.partition, resolution.tier, now)
    return judged(identity, resolution.tier, odd=shape.reasons)


def _state(judged: _Judged, *, blocked: bool) -> State:
    if judged.facts.passthrough:
        return State.EXCLUDED
    if not judged.kept and judged.resolution.state is not None:
        return judged.resolution.state
    if judged.choice.name is None:
        return State.NO_DRIVER
    return State.NOT_AVAILABLE if blocked else State.AVAILABLE


def _reasons(judged: _Judged, away: tuple[Reason, ...], *, reachable: bool) -> tuple[Reason, ...]:
    """Why the node is what it is, what keeps pods ``away`` from it, and what is odd about it."""
    known = judged.identity is not None and judged.identity.model.product is not None
    unreachable = (_LABELS_MISSING,) if known and not reachable and judged.choice.name != DRA_RESOURCE else ()
    odd = (*judged.choice.reasons, *judged.odd, *_remarks(judged))
    return (*_identity_reasons(judged), *away, *unreachable, *odd)


def _identity_reasons(judged: _Judged) -> Iterator[Reason]:
    """Why the node is what it is; no figure in here changes with time alone."""
    for label in judged.facts.passthrough[:4]:
        yield Reason("Passthrough", f"{shown(label)}: the GPUs belong to virtual machines")
    if judged.kept and judged.identity is not None:
        name = judged.identity.model.product or judged.identity.model.shown
        yield Reason("Stale", f"nothing confirms {name} now; the last identity is kept for {HOLD_SECONDS:.0f} s")
    else:
        yield from judged.resolution.reasons
    if judged.identity is not None and judged.choice.name is None:
        yield _GPU_RESOURCE_MISSING


def _remarks(judged: _Judged) -> Iterator[Reason]:
    """What is odd about the node without changing the result."""
    facts, dra = judged.facts, judged.facts.dra
    rejected = [*facts.labeller.rejected_ids(), *sorted({device.rejected_id for device in dra.devices} - {""})]
    if rejected:
        yield Reason("DeviceIdRejected", f"not a PCI device id: {', '.join(map(shown, rejected[:4]))}")
    override = facts.labels.get(OVERRIDE_LABEL)
    if override is not None and override_model(override) is None:
        yield Reason("OverrideInvalid", f"{OVERRIDE_LABEL}={shown(override)} names no known MI3xx product")
    if dra.vfio:
        yield Reason("VfioIgnored", f"{dra.vfio} DRA devices belong to virtual machines")
    unhealthy = unhealthy_gpus(facts.labels)
    if unhealthy:
        yield Reason("GPUsUnhealthy", f"{unhealthy} marked unhealthy by the metrics exporter")
    if facts.shared:
        yield Reason("GPUsShared", "a sharing scheduler is in use: amd.com/gpu does not count GPUs")
    if facts.ready is None and judged.amd:
        yield Reason("ReadyNotReported", "the node has no conditions; its readiness is not judged")
