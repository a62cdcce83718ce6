"""AMD GPUs on the PCI bus as Node Feature Discovery sees them: ``NodeFeature`` objects and ``pci-...present`` labels.

This is hardware, not software: true with no driver and no device plugin. A NodeFeature lists every PCI function
whatever the label configuration; the label fields are a configured subset of class, vendor, device, subsystem_vendor,
subsystem_device, in this order.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hipbmm_operator.detect.catalogue.products import device_id
from hipbmm_operator.detect.sources.keys import NFD_PCI_PREFIX, NFD_PREFIX
from hipbmm_operator.detect.sources.values import text, truth
from hipbmm_operator.kube.metadata import as_object, object_at, objects_at

NODE_NAME_LABEL: Final = "nfd.node.kubernetes.io/node-name"
_AMD: Final = "1002"
_GPU_CLASSES: Final = ("03", "0b40", "12")
_PCI_LABEL: Final = re.compile(r"pci-(?:([0-9a-f]{4})_)?1002(?:_([0-9a-f]{4}))?(?:_.*)?\.present")
# With the fields vendor,subsystem_vendor a label reads like vendor,device. Board makers' ids begin with 0, 1 or 8,
# AMD's sound functions with a; AMD's GPUs begin with 6 or 7, apart from integrated ones, which are display controllers
# (class 03xx).
_GPU_ID: Final = re.compile(r"[67][0-9a-f]{3}")


@dataclass(frozen=True, slots=True)
class PciGpus:
    """``ids`` are the device ids found, ``count`` the GPUs (0: not counted), ``amd`` whether any AMD GPU is there."""

    amd: bool
    ids: frozenset[str]
    count: int
    source: str


def pci_gpus(labels: Mapping[str, str], features: Iterable[Mapping[str, Any]], node: str) -> PciGpus:
    """Read the NodeFeatures of a node, else its labels. Two NodeFeatures list the same hardware: counts are not added.

    Those of other nodes are passed over.
    """
    listed = [_gpus_of_feature(feature) for feature in features if node_of_feature(feature) == node]
    count = max(map(len, listed), default=0)
    if not count:
        return _labelled_gpus(labels)
    return PciGpus(amd=True, ids=frozenset().union(*listed), count=count, source="NodeFeature pci.device")


def _labelled_gpus(labels: Mapping[str, str]) -> PciGpus:
    """Read the ``feature.node.kubernetes.io/pci-...present`` labels of a node."""
    ids: set[str] = set()
    amd = False
    for key, value in labels.items():
        if not key.startswith(NFD_PCI_PREFIX):
            continue
        found = _PCI_LABEL.fullmatch(key[len(NFD_PREFIX) :].lower())
        if found is None or not truth(value) or not (found[1] or "03").startswith(_GPU_CLASSES):
            continue
        amd = True
        device = found[2]
        if device and (_GPU_ID.fullmatch(device) or (found[1] or "").startswith("03")) and device != _AMD:
            ids.add(device)
    return PciGpus(amd=amd, ids=frozenset(ids), count=0, source="NFD label pci-*.present")


def node_of_feature(feature: Mapping[str, Any]) -> str:
    """The name of the node that a NodeFeature describes, by its label or else its own name; "" when it says none."""
    metadata = as_object(feature.get("metadata"))
    return text(as_object(metadata.get("labels")).get(NODE_NAME_LABEL)) or text(metadata.get("name"))


def _gpus_of_feature(feature: Mapping[str, Any]) -> list[str]:
    found = []
    for element in objects_at(feature, "spec", "features", "instances", "pci.device", "elements"):
        attributes = object_at(element, "attributes")
        vendor = text(attributes.get("vendor")).lower().removeprefix("0x")
        gpu_class = text(attributes.get("class")).lower().removeprefix("0x")
        device = device_id(text(attributes.get("device")))
        if vendor == _AMD and device is not None and gpu_class.startswith(_GPU_CLASSES):
            found.append(device)
    return found
