"""Node affinity for a choice of products: terms on labels that exist without us.

Terms are ORed. Each belongs to one *kind of label*; a weaker kind is only consulted where the stronger kinds are
missing, as in detection. Which kinds pods read is decided when their template is rendered, from the kinds that the
cluster's nodes show, and is kept with it: nodes that come and go never change a pod template. DRA attributes and
NodeFeatures cannot be used in an affinity: for nodes that nothing else identifies there is the label
``hipbmm.io/gpu-product``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from hipbmm_operator.detect.catalogue.marketing import INSTANCE_TYPES, MARKETING_NAMES
from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE, MODES, SPX
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES, PRODUCTS, Product
from hipbmm_operator.detect.sources.keys import (
    AIM_PREFIX,
    CLOUD_MODEL_LABELS,
    INSTANCE_TYPE_LABELS,
    NFD_MI300X_LABEL,
    NFD_PREFIX,
    OVERRIDE_LABEL,
    PARTITION_KEYS,
)
from hipbmm_operator.kube.metadata import fulfils

_ID: Final = "amd.com/gpu.device-id"
_BETA_ID: Final = "beta.amd.com/gpu.device-id"
_UNITS: Final = "amd.com/gpu.cu-count"
_BETA_UNITS: Final = "beta.amd.com/gpu.cu-count"
_NAME: Final = "amd.com/gpu.product-name"
_MODE: Final = "amd.com/gpu.mode"
_KNOWN_TYPES: Final = frozenset(written for types in INSTANCE_TYPES.values() for written in types)


class LabelKind(StrEnum):
    """A kind of label that names products or partitions, the most trusted first; the values are stored with pods."""

    OVERRIDE = "override"
    LABELLER = "labeller"
    BETA = "labeller-beta"
    BETA_COUNTED = "labeller-beta-counted"
    PCI_CLASS = "nfd-pci-class"
    """``pci-1200_1002_<id>``: class 1200 is "processing accelerators"."""
    PCI_VENDOR = "nfd-pci-vendor"
    """``pci-1002_<id>``: the vendor,device recipe of the gpu-operator's OpenShift page."""
    MODEL = "model-label"
    PRODUCT_NAME = "product-name"
    CLOUD_MODEL = "cloud-model"
    INSTANCE_TYPE = "instance-type"
    PARTITION = "partition"
    PARTITION_DOCUMENTED = "partition-documented"


EVERY_KIND: Final[frozenset[LabelKind]] = frozenset(LabelKind)
# A person's word, and the labeller's standard label: a node that has just joined shows less than it will.
_ALWAYS: Final = frozenset({LabelKind.OVERRIDE, LabelKind.LABELLER})
_PARTITION_LABELS: Final = dict(zip((LabelKind.PARTITION, LabelKind.PARTITION_DOCUMENTED), PARTITION_KEYS, strict=True))
_BY_PLAIN_UNITS: Final = (LabelKind.OVERRIDE, LabelKind.LABELLER, LabelKind.PRODUCT_NAME)
_BY_BETA_UNITS: Final = (LabelKind.BETA, LabelKind.BETA_COUNTED)

_Written = Callable[[Product], Iterable[str]]
_NAMING: Final[Mapping[LabelKind, tuple[str, _Written]]] = {
    LabelKind.OVERRIDE: (OVERRIDE_LABEL, lambda product: (product.name,)),
    LabelKind.LABELLER: (_ID, lambda product: product.ids),
    LabelKind.BETA: (_BETA_ID, lambda product: product.ids),
    LabelKind.BETA_COUNTED: (_BETA_ID + ".{}", lambda product: product.ids),
    LabelKind.PCI_CLASS: (NFD_PREFIX + "pci-1200_1002_{}.present", lambda product: product.ids),
    LabelKind.PCI_VENDOR: (NFD_PREFIX + "pci-1002_{}.present", lambda product: product.ids),
    LabelKind.MODEL: (AIM_PREFIX + "{}", lambda product: (product.name,)),
    LabelKind.PRODUCT_NAME: (_NAME, lambda product: (f"AMD_Instinct_{name}" for name in MARKETING_NAMES[product.name])),
    LabelKind.CLOUD_MODEL: (CLOUD_MODEL_LABELS[0], lambda product: (product.name.lower(),)),
    LabelKind.INSTANCE_TYPE: (INSTANCE_TYPE_LABELS[0], lambda product: INSTANCE_TYPES.get(product.name, ())),
}
"""Kinds that name a product: the key, and what is written for a product, as its value or in the place of {}."""

Requirement = dict[str, Any]
Term = dict[str, list[Requirement]]


def kinds_to_read(shown: Iterable[LabelKind]) -> frozenset[LabelKind]:
    """The kinds that a new template reads, in a cluster whose nodes show these: every kind when they show none."""
    found = frozenset(shown)
    return found | _ALWAYS if found else EVERY_KIND


def affinity_terms(
    products: Sequence[str] = (), resource: str = GPU_RESOURCE, kinds: Iterable[LabelKind] = EVERY_KIND
) -> list[Term]:
    """``nodeSelectorTerms`` that choose nodes with one of the products; no products means every known MI3xx.

    ``kinds`` are the kinds of label to read. With ``amd.com/gpu`` whole GPUs are meant, so nodes labelled as
    partitioned are left out; a resource that names a partition chooses its nodes by itself. ValueError for a product
    that is not in PRODUCT_NAMES. Nothing is shared between the terms, or between two calls.
    """
    unknown = sorted(set(products) - set(PRODUCT_NAMES))
    if unknown:
        raise ValueError(f"unknown products {', '.join(unknown)}; known are {', '.join(PRODUCT_NAMES)}")
    wanted = [product for product in PRODUCTS if not products or product.name in products]
    read = frozenset(kinds)
    whole = resource == GPU_RESOURCE
    return [term for kind in LabelKind if kind in read for term in _terms(kind, wanted, read, whole=whole)]


def selects(terms: Iterable[Term], labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is chosen, by the scheduler's rules for the operators used here."""
    return any(all(fulfils(labels, requirement) for requirement in term["matchExpressions"]) for term in terms)


def chosen_by(product: str | None, labels: Mapping[str, str]) -> tuple[LabelKind, ...]:
    """The kinds of label by which the terms of a product choose a node, partitions aside; the most trusted first."""
    return tuple(kind for kind, terms in _terms_by_kind(product).items() if selects(terms, labels))


def kinds_shown(chosen: Sequence[LabelKind], labels: Mapping[str, str]) -> frozenset[LabelKind]:
    """The kinds that templates should read because of a node with these labels, chosen by these kinds.

    The most trusted one that chooses it; its instance type, which is all that a cluster autoscaler knows of a node
    that it could add; and the labels of partitions, which keep pods away.
    """
    partitions = {kind for kind, key in _PARTITION_LABELS.items() if key in labels}
    known = labels.get(INSTANCE_TYPE_LABELS[0]) in _KNOWN_TYPES
    return frozenset({*chosen[:1], *({LabelKind.INSTANCE_TYPE} if chosen and known else ()), *partitions})


@lru_cache
def _terms_by_kind(product: str | None) -> Mapping[LabelKind, Sequence[Term]]:
    wanted = [found for found in PRODUCTS if found.name == product]
    return {kind: list(_terms(kind, wanted, EVERY_KIND, whole=False)) for kind in LabelKind}


def _terms(kind: LabelKind, products: Sequence[Product], read: frozenset[LabelKind], *, whole: bool) -> Iterator[Term]:
    """The terms of one kind.

    They are in every pod, so each says no more than it must: where no labeller writes a device id, none writes
    partitions or passthrough either.
    """
    cut = whole and kind in (*_BY_PLAIN_UNITS, *_BY_BETA_UNITS)
    for group in _groups(products) if cut else [products]:
        for requirement in _choosing(kind, group):
            guards = [*_stronger_missing(kind), *(_whole(kind, group, read) if cut else ())]
            yield {"matchExpressions": [requirement, *guards]}


def _choosing(kind: LabelKind, products: Sequence[Product]) -> list[Requirement]:
    """What chooses the products by one kind of label, one requirement for each term."""
    if kind not in _NAMING:
        return []
    key, written = _NAMING[kind]
    values = [value for product in products for value in written(product)]
    if "{}" not in key:
        return [_need(key, "In", *values)] if values else []
    found = [_need(key.format(value), "Exists") for value in values]
    if kind is LabelKind.MODEL and any(product.name == "MI300X" for product in products):
        found.append(_need(NFD_MI300X_LABEL, "In", "true"))
    return found


def _stronger_missing(kind: LabelKind) -> list[Requirement]:
    """What keeps a kind of label from speaking where a more trusted one does, or where GPUs are passed through."""
    match kind:
        case LabelKind.OVERRIDE | LabelKind.LABELLER:
            return [_need(_MODE, "NotIn", "pf-passthrough", "vf-passthrough")]
        case LabelKind.BETA:
            return _missing(_ID)
        case LabelKind.CLOUD_MODEL | LabelKind.INSTANCE_TYPE:
            return _missing(_ID, _BETA_ID, _NAME)
        case _:
            return _missing(_ID, _BETA_ID)


def _whole(kind: LabelKind, products: Sequence[Product], read: frozenset[LabelKind]) -> list[Requirement]:
    """What keeps partitioned GPUs out, by the labeller's labels or by its beta labels, which have no partition key."""
    parts = [str(units) for units in sorted(set().union(*map(_parts, products)))]
    if kind in _BY_BETA_UNITS:
        return [_need(_BETA_UNITS, "NotIn", *parts)]
    modes = [mode for mode in MODES if mode != SPX and any(mode in product.modes for product in products)]
    profiles = [f"{mode.lower()}_nps{nps}" for mode in modes for nps in (1, 2, 4, 8)]
    keys = [key for partition, key in _PARTITION_LABELS.items() if partition in read]
    return [*(_need(key, "NotIn", *profiles) for key in keys), _need(_UNITS, "NotIn", *parts)]


def _parts(product: Product) -> set[int]:
    return {product.compute_units // ways for ways in product.modes.values() if ways > 1}


def _groups(products: Sequence[Product]) -> list[list[Product]]:
    """Products whose partitions cannot be taken for whole GPUs of another one in the group.

    MI355X in DPX has the 128 compute units of a whole MI350P.
    """
    groups: list[list[Product]] = []
    for product in products:
        for group in groups:
            wholes = {member.compute_units for member in (*group, product)}
            if not any(_parts(member) & wholes for member in (*group, product)):
                group.append(product)
                break
        else:
            groups.append([product])
    return groups


def _need(key: str, operator: str, *values: str) -> Requirement:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _missing(*keys: str) -> list[Requirement]:
    return [_need(key, "DoesNotExist") for key in keys]
