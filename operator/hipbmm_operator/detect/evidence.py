"""Evidence of what GPUs a node has, in tiers of decreasing trust.

Tiers E1 to E3 are PCI device ids, E4 and E5 names, E6 a claim of the cloud; whatever is merely "AMD" (the seventh)
identifies nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hipbmm_operator.detect.catalogue.marketing import read_hint, read_name
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES, GpuModel, device_id, model_of_id, model_of_product
from hipbmm_operator.detect.sources.facts import NodeFacts
from hipbmm_operator.detect.sources.keys import (
    AIM_PREFIX,
    CLOUD_BRAND_LABELS,
    CLOUD_MODEL_LABELS,
    INSTANCE_TYPE_LABELS,
    NFD_GPU_LABELS,
    NFD_MI210_LABEL,
    NFD_MI300X_LABEL,
    OVERRIDE_LABEL,
    UNHEALTHY_PREFIX,
)
from hipbmm_operator.detect.sources.labels import non_empty
from hipbmm_operator.detect.sources.values import count, truth

_PRODUCT_BY_FOLDED: Final[Mapping[str, str]] = {name.lower(): name for name in PRODUCT_NAMES}


class Tier(IntEnum):
    """Where evidence comes from; a smaller number is trusted more."""

    OVERRIDE = 0
    DRA = 1
    LABELLER = 2
    PCI = 3
    MODEL_LABEL = 4
    PRODUCT_NAME = 5
    CLOUD = 6

    @property
    def by_id(self) -> bool:
        """Whether the tier reads PCI device ids from the running cluster."""
        return self in {Tier.DRA, Tier.LABELLER, Tier.PCI}

    @property
    def trusted(self) -> bool:
        """Whether the tier may change an identity at once: device ids, or a person's word."""
        return self.by_id or self is Tier.OVERRIDE

    @property
    def confidence(self) -> str:
        """High for ids and a person's word, Medium for names, Low for a claim of the cloud."""
        if self.trusted:
            return "High"
        return "Low" if self is Tier.CLOUD else "Medium"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one tier says: all kinds of GPU it names, and where."""

    tier: Tier
    models: frozenset[GpuModel]
    source: str

    @property
    def generic(self) -> bool:
        """Whether it says so little that it yields to any hint."""
        return all(model.generic for model in self.models)

    @property
    def claim(self) -> str:
        """The ids or names as read, for messages; at most four of them."""
        names = sorted(model.shown for model in self.models)
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""  # noqa: PLR2004 - as the docstring says
        return f"{self.source} says {', '.join(names[:4])}{more}"


def gather(facts: NodeFacts) -> tuple[Evidence, ...]:
    """All evidence of a node by tier, the most trusted first; tiers that say nothing are left out."""
    labelled, published = facts.labeller.values("device-id", device_id), facts.dra.devices
    found = (
        _override(facts.labels),
        Evidence(Tier.DRA, _of_ids(d.device_id for d in published if d.device_id), "ResourceSlice deviceID"),
        Evidence(Tier.LABELLER, _of_ids(labelled), "label amd.com/gpu.device-id"),
        Evidence(Tier.PCI, _of_ids(facts.pci.ids), facts.pci.source),
        _model_labels(facts.labels),
        _product_names(facts),
        _cloud(facts.labels),
    )
    return tuple(evidence for evidence in found if evidence.models)


def is_amd(facts: NodeFacts) -> bool:
    """Whether anything shows some AMD GPU. The label ``amd.com/gpu`` is a user's and proves nothing."""
    labels = facts.labels
    return (
        bool(facts.offers or facts.dra.devices or facts.dra.vfio)
        or facts.labeller.present
        or facts.pci.amd
        or any(truth(labels.get(key)) for key in NFD_GPU_LABELS)
        or any(labels.get(key, "").lower() == "amd" for key in CLOUD_BRAND_LABELS)
        or any(key.startswith(UNHEALTHY_PREFIX) for key in labels)
    )


def _of_ids(ids: Iterable[str]) -> frozenset[GpuModel]:
    return frozenset(model_of_id(found) for found in ids)


def override_model(written: str) -> GpuModel | None:
    """What the override label says: a product's name in any case, or a device id of an MI3xx; None for all else."""
    product = _PRODUCT_BY_FOLDED.get(written.strip().lower())
    if product is not None:
        return model_of_product(product, product)
    found = device_id(written)
    model = None if found is None else model_of_id(found)
    return model if model is not None and model.arch is not None else None


def _override(labels: Mapping[str, str]) -> Evidence:
    model = override_model(labels.get(OVERRIDE_LABEL, ""))
    return Evidence(Tier.OVERRIDE, frozenset(() if model is None else (model,)), f"label {OVERRIDE_LABEL}")


def _model_labels(labels: Mapping[str, str]) -> Evidence:
    names = [key.rpartition("-")[2] for key in (NFD_MI300X_LABEL, NFD_MI210_LABEL) if truth(labels.get(key))]
    names += [key[len(AIM_PREFIX) :] for key, value in labels.items() if key.startswith(AIM_PREFIX) and count(value)]
    return Evidence(Tier.MODEL_LABEL, _telling(map(read_name, names)), "model label")


def _product_names(facts: NodeFacts) -> Evidence:
    published = sorted({device.product_name for device in facts.dra.devices if device.product_name})
    labelled = sorted(facts.labeller.values("product-name", non_empty))
    generic: frozenset[GpuModel] = frozenset()
    for source, written in (("ResourceSlice productName", published), ("label amd.com/gpu.product-name", labelled)):
        models = frozenset(filter(None, map(read_name, written)))
        telling = _telling(models)
        if telling:
            return Evidence(Tier.PRODUCT_NAME, telling, source)
        generic |= models
    return Evidence(Tier.PRODUCT_NAME, generic, "product name")


def _telling(models: Iterable[GpuModel | None]) -> frozenset[GpuModel]:
    return frozenset(model for model in models if model is not None and not model.generic)


def _cloud(labels: Mapping[str, str]) -> Evidence:
    for key in (*CLOUD_MODEL_LABELS, *INSTANCE_TYPE_LABELS):
        model = read_hint(labels.get(key, ""))
        if model is not None:
            return Evidence(Tier.CLOUD, frozenset((model,)), f"label {key}")
    return Evidence(Tier.CLOUD, frozenset(), "")
