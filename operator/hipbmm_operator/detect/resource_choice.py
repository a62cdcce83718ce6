"""Which resource a pod asks this node for: ``amd.com/gpu``, a partition's name, or a DRA claim."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE, MODES, mode_of_resource
from hipbmm_operator.detect.catalogue.products import GpuModel, model_of_id
from hipbmm_operator.detect.reasons import Reason
from hipbmm_operator.detect.sources.dra import DRIVER, DraDevice, DraGpus
from hipbmm_operator.detect.sources.facts import Offer

DRA_RESOURCE: Final = "dra"
EXTENDED_NAME: Final = f"a DeviceClass of {DRIVER} with extendedResourceName: {GPU_RESOURCE}"


@dataclass(frozen=True, slots=True)
class ResourceChoice:
    """The resource (None when the node offers none), its allocatable logical devices, and its capacity.

    ``by_dra``: they are devices of the DRA driver, whatever resource they are asked for as.
    """

    name: str | None
    gpus: int
    capacity: int
    reasons: tuple[Reason, ...] = ()
    by_dra: bool = False


def claimable(dra: DraGpus, model: GpuModel | None) -> dict[str, int]:
    """Allocatable devices by product, by their own device ids; ``model`` is what those without an id are taken for."""
    products: dict[str, list[DraDevice]] = {}
    for device in dra.devices:
        own = model_of_id(device.device_id) if device.device_id else model
        if own is not None and own.product is not None:
            products.setdefault(own.product, []).append(device)
    return {product: replace(dra, devices=tuple(devices)).allocatable for product, devices in products.items()}


def choose_resource(offers: Sequence[Offer], dra: DraGpus, extended: Collection[str] = frozenset()) -> ResourceChoice:
    """DRA when nothing of ``amd.com`` is allocatable, else a partition-named resource, else ``amd.com/gpu``.

    Of several partitions the one with the largest devices is taken; during a migration the side that is allocatable
    wins. ``extended`` are the resources as which a DeviceClass hands out DRA devices.
    """
    live = [offer for offer in offers if offer.allocatable > 0]
    if dra.devices and not live:
        reasons = tuple(_dra_reasons(dra, offers))
        capacity = len(dra.devices) if not dra.auto else dra.allocatable
        name = GPU_RESOURCE if GPU_RESOURCE in extended else DRA_RESOURCE
        return ResourceChoice(name, dra.allocatable, capacity, reasons, by_dra=True)
    best = min(live or offers, key=_preference, default=None)
    if best is None:
        return ResourceChoice(None, 0, 0)
    return ResourceChoice(best.resource, best.allocatable, best.capacity, tuple(_plugin_reasons(best, live, dra)))


def _preference(offer: Offer) -> tuple[int, int, str]:
    """Partition-named before ``amd.com/gpu``, larger devices first, then the resource with more of them."""
    mode = mode_of_resource(offer.resource)
    rank = len(MODES) if mode is None else MODES.index(mode)
    return rank, -offer.allocatable, offer.resource


def _dra_reasons(dra: DraGpus, offers: Sequence[Offer]) -> Iterator[Reason]:
    if dra.incomplete:
        yield Reason("SlicesIncomplete", "a pool announces more ResourceSlices than there are")
    tainted = sum(device.tainted for device in dra.devices)
    if tainted:
        yield Reason("DevicesTainted", f"{tainted} of {len(dra.devices)} published devices are tainted")
    leftover = ", ".join(offer.resource for offer in offers if offer.capacity > 0)
    if leftover:
        yield Reason("ResourcesInTransition", f"{leftover} has nothing allocatable, the DRA driver has devices")


def _plugin_reasons(best: Offer, live: Sequence[Offer], dra: DraGpus) -> Iterator[Reason]:
    if dra.devices:
        yield Reason("ResourcesInTransition", f"the DRA driver publishes devices too; {best.resource} is allocatable")
    others = [offer.resource for offer in live if offer is not best]
    if others and any(name == GPU_RESOURCE for name in (*others, best.resource)):
        yield Reason("ResourcesInTransition", f"{', '.join(others)} is allocatable beside {best.resource}")
    elif others:
        yield Reason("SeveralPartitions", f"{', '.join(others)} is offered beside {best.resource}")
