"""The shape of one logical device: partition mode and compute units.

Compute units and memory never change an identity. They say how the GPU is cut, and they are compared with the geometry
of the product: when they do not fit, the labels are stale (they are computed once, when the labeller starts) and the
smaller number is believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hipbmm_operator.detect.catalogue.partitions import (
    SPX,
    compute_units_of,
    mode_of_compute_units,
    mode_of_devices,
    mode_of_resource,
    modes_of_memory,
)
from hipbmm_operator.detect.catalogue.products import GpuModel, Product, device_id, product_named
from hipbmm_operator.detect.reasons import Reason
from hipbmm_operator.detect.resource_choice import ResourceChoice
from hipbmm_operator.detect.sources.facts import NodeFacts
from hipbmm_operator.detect.sources.labels import labelled_mode, positive, whole_gib
from hipbmm_operator.detect.sources.values import only


@dataclass(frozen=True, slots=True)
class Shape:
    """``partition`` and ``compute_units`` of one logical device; None when not known."""

    partition: str | None
    compute_units: int | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class _Signs:
    """Everything that speaks about the shape, of the chosen resource's own side where both sides speak.

    ``profiles`` are the modes that DRA devices name, ``logical`` and ``physical`` are device counts (0: not known).
    """

    product: Product | None
    virtual: bool
    named: str | None
    labelled: str | None
    profiles: frozenset[str]
    compute_units: frozenset[int]
    memory_gib: frozenset[int]
    logical: int
    physical: int
    exclusive_modes: bool


def _signs_of(model: GpuModel, choice: ResourceChoice, facts: NodeFacts) -> _Signs:
    by_dra, labeller, dra = choice.by_dra, facts.labeller, facts.dra
    published_units = frozenset(device.compute_units for device in dra.devices if device.compute_units)
    published_memory = frozenset(device.memory_gib for device in dra.devices if device.memory_gib)
    labelled_units = labeller.values("cu-count", positive)
    labelled_memory = labeller.values("vram", whole_gib)
    counted = labeller.count("device-id", device_id)
    return _Signs(
        product=product_named(model.product),
        virtual=model.virtual is True,
        named=mode_of_resource(choice.name or ""),
        labelled=labelled_mode(facts.labels),
        profiles=frozenset(device.mode for device in dra.devices if device.mode),
        compute_units=(published_units or labelled_units) if by_dra else (labelled_units or published_units),
        memory_gib=(published_memory or labelled_memory) if by_dra else (labelled_memory or published_memory),
        logical=0 if facts.shared else choice.capacity,
        physical=(dra.physical if by_dra else 0) or counted or facts.pci.count,
        exclusive_modes=by_dra and dra.auto,
    )


def shape_of(model: GpuModel, choice: ResourceChoice, facts: NodeFacts) -> Shape:
    """Mode and compute units: the first sign that speaks gives the mode, and all are checked against each other."""
    signs = _signs_of(model, choice, facts)
    if signs.exclusive_modes and (len(signs.profiles) > 1 or len(signs.compute_units) > 1):
        reason = Reason("AutoPartition", "the DRA driver offers each GPU in several modes; the claim decides")
        return Shape(None, None, (reason,))
    fraction = _fraction(signs)
    if fraction is not None:
        return fraction
    mode, reasons = _mode(signs)
    if mode is None:
        return Shape(None, min(signs.compute_units, default=None), reasons)
    units, stale = _units(signs, mode)
    if stale and signs.product is not None and units and signs.named is None:
        # Believing the smaller device means believing its mode. The name of a resource is the device plugin's own word
        # and stays.
        mode = mode_of_compute_units(signs.product, units) or mode
    return Shape(mode, units, reasons + stale)


def _fraction(signs: _Signs) -> Shape | None:
    """A virtual function that is a part of a GPU: compute units of a partition, but as many devices as functions."""
    units = only(signs.compute_units)
    if not signs.virtual or signs.product is None or units is None or signs.named or signs.labelled or signs.profiles:
        return None
    mode = mode_of_compute_units(signs.product, units)
    if mode is None or mode == SPX or signs.logical > max(signs.physical, 1):
        return None
    reason = Reason(
        "VirtualFraction", f"{units} compute units under a virtual function's id: a part of a GPU, not a partition"
    )
    return Shape(None, units, (reason,))


def _mode(signs: _Signs) -> tuple[str | None, tuple[Reason, ...]]:
    mode = signs.named or signs.labelled or only(signs.profiles)
    if mode is not None:
        return mode, ()
    if len(signs.profiles) > 1 or len(signs.compute_units) > 1:
        return None, (Reason("PartitionsDiffer", "the GPUs of this node are partitioned differently"),)
    return _inferred_mode(signs)


def _inferred_mode(signs: _Signs) -> tuple[str, tuple[Reason, ...]]:
    product = signs.product
    units = only(signs.compute_units)
    if product is not None:
        mode = (
            mode_of_compute_units(product, units) if units else mode_of_devices(product, signs.logical, signs.physical)
        )
        if mode is not None:
            return mode, ()
        memory = only(signs.memory_gib)
        fitting = modes_of_memory(product, memory) if memory and not units and not signs.virtual else ()
        if len(fitting) == 1 and fitting[0] != SPX:
            return fitting[0], (
                Reason("PartitionFromMemory", f"{memory} GiB per device is {fitting[0]} on {product.name}"),
            )
    return SPX, (Reason("PartitionAssumed", "nothing reports the partition; SPX is the default"),)


def _units(signs: _Signs, mode: str) -> tuple[int | None, tuple[Reason, ...]]:
    """Compute units of a device in this mode, and what contradicts them; of two numbers the smaller one."""
    product = signs.product
    if product is None:
        return only(signs.compute_units), ()
    expected = compute_units_of(product, mode)
    if expected is None:
        reason = Reason("LabelsStale", f"{product.name} has no mode {mode}")
        return min(signs.compute_units, default=None), (reason,)
    return _checked(product, mode, expected, signs)


def _checked(product: Product, mode: str, expected: int, signs: _Signs) -> tuple[int, tuple[Reason, ...]]:
    units = expected
    reasons = []
    if signs.compute_units and expected not in signs.compute_units:
        units = min(expected, *signs.compute_units)
        detail = f"{_listed(signs.compute_units)} compute units reported, {product.name} in {mode} has {expected}"
        reasons.append(Reason("LabelsStale", detail))
    fitting = {found for gib in signs.memory_gib for found in modes_of_memory(product, gib)}
    if product.memory_gib and signs.memory_gib and mode not in fitting:
        units = min([units, *_units_of(product, fitting)])
        reasons.append(
            Reason("LabelsStale", f"{_listed(signs.memory_gib)} GiB reported, which is not {product.name} in {mode}")
        )
    counted = mode_of_devices(product, signs.logical, signs.physical)
    if counted is not None and signs.named is None and min(_units_of(product, {counted})) < units:
        # The reverse, fewer devices than the mode makes, is a known fault of device plugins and proves nothing.
        units = min(_units_of(product, {counted}))
        detail = f"{signs.logical} devices on {signs.physical} GPUs, which is not {product.name} in {mode}"
        reasons.append(Reason("LabelsStale", detail))
    return units, tuple(reasons)


def _units_of(product: Product, modes: Iterable[str]) -> list[int]:
    return [product.compute_units // product.modes[mode] for mode in modes]


def _listed(numbers: frozenset[int]) -> str:
    """At most four numbers, for a message."""
    return ", ".join(str(number) for number in sorted(numbers)[:4])
