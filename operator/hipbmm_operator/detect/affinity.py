"""Node affinity for a choice of products: static terms on labels that exist without us.

The terms depend on the products alone, so nodes that come and go never change a pod template. Terms are ORed. A weaker
kind of label is only consulted where the stronger kinds are missing, as in detection. DRA attributes and NodeFeatures
cannot be used in an affinity: for nodes that nothing else identifies there is the label ``hipbmm.io/gpu-product``.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE, MODES, SPX
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES, PRODUCTS, Product, product_named
from hipbmm_operator.detect.sources.keys import (
    AIM_PREFIX,
    CLOUD_MODEL_LABELS,
    INSTANCE_TYPE_LABELS,
    NFD_MI300X_LABEL,
    NFD_PREFIX,
    OVERRIDE_LABEL,
    PARTITION_KEYS,
)

_ID: Final = "amd.com/gpu.device-id"
_BETA_ID: Final = "beta.amd.com/gpu.device-id"
_UNITS: Final = "amd.com/gpu.cu-count"
_BETA_UNITS: Final = "beta.amd.com/gpu.cu-count"
_NAME: Final = "amd.com/gpu.product-name"
_MODE: Final = "amd.com/gpu.mode"
# Class 1200, "processing accelerators", or the vendor,device recipe of the gpu-operator's OpenShift page.
_NFD_FORMS: Final = ("pci-1200_1002_{}.present", "pci-1002_{}.present")

# Marketing names and cloud names as far as they are known; facts with sources in docs/detection.md.
_MARKETING: Final[Mapping[str, tuple[str, ...]]] = {
    "MI300A": ("MI300A",),
    "MI300X": ("MI300X", "MI300X_HF", "MI300X_HF_VF", "MI300X_OAM", "MI300X_VF"),
    "MI308X": ("MI308X", "MI308X_HF", "MI308X_HF_VF", "MI308X_OAM", "MI308X_VF"),
    "MI325X": ("MI325X", "MI325X_OAM", "MI325X_VF", "MI325_OAM"),
    "MI350P": ("MI350P", "MI350P_VF"),
    "MI350X": ("MI350X", "MI350X_OAM", "MI350X_VF", "MI350_OAM"),
    "MI355X": ("MI355X", "MI355X_OAM", "MI355X_VF", "MI355_OAM"),
}
_INSTANCE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "MI300X": (
        "BM.GPU.MI300X.8",
        "Standard_ND96is_MI300X_v5",
        "Standard_ND96isr_MI300X_v5",
        "gpu-mi300x1-192gb",
        "gpu-mi300x1-192gb-devcloud",
        "gpu-mi300x8-1536gb",
        "gpu-mi300x8-1536gb-devcloud",
        "gx3d-208x1792x8mi300x",
        "mi300x-192gb-ib.8x",
        "vbm-256c-2048gb-8-mi300x-gpu",
    ),
    "MI325X": ("gpu-mi325x1-256gb", "gpu-mi325x8-2048gb", "vbm-256c-3072gb-8-mi325x-gpu"),
    "MI350X": ("gpu-mi350x1-288gb",),
    "MI355X": ("BM.GPU.MI355X-v0.8", "BM.GPU.MI355X-v1.8", "BM.GPU.MI355X.8", "gpu-mi355x1-288gb"),
}

Requirement = dict[str, Any]
Term = dict[str, list[Requirement]]


def affinity_terms(products: Sequence[str] = (), resource: str = GPU_RESOURCE) -> list[Term]:
    """``nodeSelectorTerms`` that choose nodes with one of the products; no products means every known MI3xx.

    With ``amd.com/gpu`` whole GPUs are meant, so nodes labelled as partitioned are left out; a resource that names a
    partition chooses its nodes by itself. ValueError for a product that is not in PRODUCT_NAMES.
    """
    unknown = sorted(set(products) - set(PRODUCT_NAMES))
    if unknown:
        raise ValueError(f"unknown products {', '.join(unknown)}; known are {', '.join(PRODUCT_NAMES)}")
    wanted = [product for product in PRODUCTS if not products or product.name in products]
    terms: list[Term] = []
    for group in _groups(wanted) if resource == GPU_RESOURCE else [wanted]:
        terms.extend(_terms(group, whole=resource == GPU_RESOURCE))
    return terms


def selects(terms: Sequence[Term], labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is chosen, by the scheduler's rules for the operators used here."""
    return any(all(_fulfils(requirement, labels) for requirement in term["matchExpressions"]) for term in terms)


def is_selectable(product: str, labels: Mapping[str, str]) -> bool:
    """Whether the terms of one product choose a node by what it is, partitions aside."""
    return selects(_terms_of_product(product), labels)


@lru_cache(maxsize=len(PRODUCT_NAMES))
def _terms_of_product(product: str) -> tuple[Term, ...]:
    found = product_named(product)
    return tuple(_terms([found], whole=False)) if found is not None else ()


def _fulfils(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    operator = requirement["operator"]
    values: list[str] = requirement.get("values", [])
    value = labels.get(requirement["key"])
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    return (value is not None) is (operator == "Exists")


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


def _in(key: str, values: Sequence[str]) -> Requirement:
    return {"key": key, "operator": "In", "values": list(values)}


def _not_in(key: str, values: Sequence[str]) -> Requirement:
    return {"key": key, "operator": "NotIn", "values": list(values)}


def _exists(key: str) -> Requirement:
    return {"key": key, "operator": "Exists"}


def _missing(*keys: str) -> list[Requirement]:
    return [{"key": key, "operator": "DoesNotExist"} for key in keys]


def _term(*requirements: Requirement) -> Term:
    """A term of its own copies: callers may change one without another one changing."""
    return {"matchExpressions": [copy.deepcopy(requirement) for requirement in requirements]}


def _terms(products: Sequence[Product], *, whole: bool) -> list[Term]:
    ids = [device_id for product in products for device_id in product.ids]
    names = [product.name for product in products]
    container = _not_in(_MODE, ["pf-passthrough", "vf-passthrough"])
    # The terms are in every pod, so each says no more than it must: where no labeller writes a device id, none writes
    # partitions or passthrough either.
    plain, beta = _unpartitioned(products) if whole else ([], [])
    unlabelled = _missing(_ID, _BETA_ID)
    nfd_labels = [NFD_PREFIX + form.format(device_id) for form in _NFD_FORMS for device_id in ids]
    return [
        _term(_in(OVERRIDE_LABEL, names), container, *plain),
        _term(_in(_ID, ids), container, *plain),
        _term(_in(_BETA_ID, ids), *_missing(_ID), *beta),
        *(_term(_exists(f"{_BETA_ID}.{device_id}"), *unlabelled, *beta) for device_id in ids),
        *(_term(_exists(label), *unlabelled) for label in nfd_labels),
        *_named_terms(names, unlabelled, plain),
    ]


def _unpartitioned(products: Sequence[Product]) -> tuple[list[Requirement], list[Requirement]]:
    """What keeps partitioned GPUs out, by the labeller's labels and by its beta labels, which have no partition key."""
    parts = [str(units) for units in sorted(set().union(*map(_parts, products)))]
    modes = [mode for mode in MODES if mode != SPX and any(mode in product.modes for product in products)]
    profiles = [f"{mode.lower()}_nps{nps}" for mode in modes for nps in (1, 2, 4, 8)]
    plain = [*(_not_in(key, profiles) for key in PARTITION_KEYS), _not_in(_UNITS, parts)]
    return plain, [_not_in(_BETA_UNITS, parts)]


def _named_terms(
    names: Sequence[str], unlabelled: Sequence[Requirement], unpartitioned: Sequence[Requirement]
) -> list[Term]:
    """Terms on names, for nodes that no device id is known of."""
    terms = [_term(_exists(AIM_PREFIX + name), *unlabelled) for name in names]
    if "MI300X" in names:
        terms.append(_term(_in(NFD_MI300X_LABEL, ["true"]), *unlabelled))
    marketing = [f"AMD_Instinct_{written}" for name in names for written in _MARKETING[name]]
    terms.append(_term(_in(_NAME, marketing), *unlabelled, *unpartitioned))
    unnamed = [*unlabelled, *_missing(_NAME)]
    models = [name.lower() for name in names]
    terms.append(_term(_in(CLOUD_MODEL_LABELS[0], models), *unnamed))
    types = [written for name in names for written in _INSTANCE_TYPES.get(name, ())]
    if types:
        terms.append(_term(_in(INSTANCE_TYPE_LABELS[0], types), *unnamed))
    return terms
