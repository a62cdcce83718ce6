"""What the sources say of a node, as the few facts that detection needs. Nothing in an object can raise."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hipbmm_operator.detect.catalogue.partitions import GPU_RESOURCE, mode_of_resource
from hipbmm_operator.detect.sources.dra import BLOCKING_EFFECTS, DraGpus, dra_gpus
from hipbmm_operator.detect.sources.keys import is_relevant
from hipbmm_operator.detect.sources.labels import LabellerLabels, labeller_labels, passthrough_labels
from hipbmm_operator.detect.sources.pci import PciGpus, pci_gpus
from hipbmm_operator.detect.sources.values import quantity, text, truth
from hipbmm_operator.kube.metadata import as_object, as_objects, conditions, object_at

_SHARING_RESOURCES: Final = frozenset({"amd.com/gpumem", "amd.com/gpucores"})


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One ``amd.com/...`` resource in a node's status. What is in capacity but not in allocatable has 0 allocatable."""

    resource: str
    capacity: int
    allocatable: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """``taints`` are those that keep pods away; ``ready`` is None without conditions, False without its own.

    ``shared``: a sharing scheduler inflates ``amd.com/gpu``. ``passthrough`` are the labels that exclude the node.
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    terminating: bool
    ready: bool | None
    offers: tuple[Offer, ...]
    shared: bool
    labeller: LabellerLabels
    passthrough: tuple[str, ...]
    dra: DraGpus
    pci: PciGpus


def node_name(node: Mapping[str, Any]) -> str:
    """``metadata.name``, "" when missing."""
    return text(as_object(node.get("metadata")).get("name"))


def relevant_labels(node: Mapping[str, Any]) -> dict[str, str]:
    """The labels that detection reads, with every value as text."""
    labels = object_at(node, "metadata", "labels")
    return {key: text(value) for key, value in labels.items() if is_relevant(text(key))}


def is_gpu_resource(name: object) -> bool:
    """Whether a resource name is ``amd.com/gpu`` or a partition's, such as ``amd.com/cpx_nps4``."""
    return isinstance(name, str) and (name == GPU_RESOURCE or mode_of_resource(name) is not None)


def node_facts(
    node: Mapping[str, Any], slices: Iterable[Mapping[str, Any]], features: Iterable[Mapping[str, Any]]
) -> NodeFacts:
    """Read a Node, its ResourceSlices and its NodeFeatures, among those of other nodes.

    A node with no status offers nothing and is not known to be ready.
    """
    name, labels = node_name(node), relevant_labels(node)
    labeller = labeller_labels(labels)
    spec = as_object(node.get("spec"))
    status = as_object(node.get("status"))
    capacity = as_object(status.get("capacity"))
    allocatable = as_object(status.get("allocatable"))
    reported = conditions(status)
    names = sorted({name for name in (*capacity, *allocatable) if is_gpu_resource(name)})
    return NodeFacts(
        name=name,
        labels=labels,
        taints=tuple(
            taint for taint in map(_taint, as_objects(spec.get("taints"))) if taint.effect in BLOCKING_EFFECTS
        ),
        unschedulable=truth(spec.get("unschedulable")),
        terminating=bool(as_object(node.get("metadata")).get("deletionTimestamp")),
        ready=truth(reported.get("Ready", {}).get("status")) if reported else None,
        offers=tuple(_offer(name, capacity, allocatable) for name in names),
        shared=not _SHARING_RESOURCES.isdisjoint((*capacity, *allocatable)),
        labeller=labeller,
        passthrough=passthrough_labels(labels, labeller),
        dra=dra_gpus(slices, name),
        pci=pci_gpus(labels, features, name),
    )


def _taint(taint: Mapping[str, Any]) -> Taint:
    return Taint(text(taint.get("key")), text(taint.get("value")), text(taint.get("effect")))


def _offer(name: str, capacity: Mapping[str, Any], allocatable: Mapping[str, Any]) -> Offer:
    usable = quantity(allocatable.get(name)) or 0
    return Offer(name, max(quantity(capacity.get(name)) or 0, usable), usable)
