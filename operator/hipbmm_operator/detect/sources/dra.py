"""GPUs published through dynamic resource allocation by the driver ``gpu.amd.com`` (ROCm/k8s-gpu-dra-driver).

ResourceSlices of resource.k8s.io v1beta1 keep a device's attributes under ``basic``, v1beta2 and v1 flat; both are read
by their shape. Only the highest generation of a pool counts, and devices handed to virtual machines (``type: vfio``) do
not.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hipbmm_operator.detect.catalogue.marketing import MARKETING_NAMES
from hipbmm_operator.detect.catalogue.partitions import SPX, mode_of_profile
from hipbmm_operator.detect.catalogue.products import PRODUCTS, dra_device_id
from hipbmm_operator.detect.sources.values import quantity, text
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, as_objects, object_at, objects_at

DRIVER: Final = "gpu.amd.com"
# Of taints, of devices as of nodes: PreferNoSchedule never keeps a pod away.
BLOCKING_EFFECTS: Final = frozenset({"NoSchedule", "NoExecute"})
_DOMAIN: Final = DRIVER + "/"
_PCI_BUS_ID: Final = "resource.kubernetes.io/pciBusID"
_PCIE_ROOT: Final = "resource.kubernetes.io/pcieRoot"
_AUTO_NAME: Final = re.compile(r"(gpu-[0-9]+)-(?:spx|dpx|tpx|qpx|cpx)-nps[1248]", re.IGNORECASE)
_MODE: Final = r"device\.attributes\[['\"]gpu\.amd\.com['\"]\]\.computePartition"
_SPX: Final = rf"(?:!\s*has\({_MODE}\)\s*\|\|\s*)?{_MODE}\s*==\s*['\"]spx['\"]"
# Of a rule, the part that chooses whole GPUs alone, as the driver's chart and its pages write it; and any other part.
_WHOLE: Final = re.compile(rf"{_SPX}|\(\s*{_SPX}\s*\)")
_TEXT: Final = r"""(?:"[^"]*"|'[^']*')"""
_CALL: Final = rf"""\((?:{_TEXT}|[^()"'])*\)"""
_CALLS: Final = rf"""\((?:{_TEXT}|{_CALL}|[^()"'])*\)"""  # compareTo(quantity("100Gi"))
_OTHER: Final = re.compile(rf"""(?:{_TEXT}|{_CALLS}|\[[^][]*\]|[^][(){{}}|?"'])*""")
_NOT_NODE_LOCAL: Final = ("nodeSelector", "allNodes", "perDeviceNodeSelection")
_GIB: Final = 2**30
# What the driver writes when it cannot read the memory: 0 in newer versions, these in older ones.
_FAKE_MEMORY_GIB: Final = frozenset({0, 20, 80})
_SCALARS: Final = ("string", "version", "int", "bool", "value")


@dataclass(frozen=True, slots=True)
class DraDevice:
    """One device that is not for virtual machines. ``gpu`` is equal for devices of one physical GPU; None: unknown."""

    device_id: str | None
    rejected_id: str
    product_name: str
    mode: str | None
    compute_units: int | None
    memory_gib: int | None
    gpu: str | None
    auto: bool
    tainted: bool


@dataclass(frozen=True, slots=True)
class DraGpus:
    """The devices of one node. ``vfio`` counts those left out, ``incomplete``: slices of a pool are missing."""

    devices: tuple[DraDevice, ...] = ()
    vfio: int = 0
    incomplete: bool = False

    @property
    def auto(self) -> bool:
        """AutoPartition: each physical GPU is published once per mode that it could be put in."""
        return any(device.auto for device in self.devices)

    @property
    def allocatable(self) -> int:
        """Devices that can be handed out together: with AutoPartition the modes of one GPU exclude each other."""
        usable = [device for device in self.devices if not device.tainted]
        return self._gpus(usable) if self.auto else len(usable)

    @property
    def whole(self) -> "DraGpus":
        """Without what would be a partition: with AutoPartition a DeviceClass may hand out whole GPUs alone."""
        return replace(self, devices=tuple(device for device in self.devices if device.mode in (None, SPX)))

    @property
    def physical(self) -> int:
        """Physical GPUs; 0 when the devices do not say it."""
        return self._gpus(self.devices) if all(device.gpu for device in self.devices) else 0

    @staticmethod
    def _gpus(devices: Iterable[DraDevice]) -> int:
        return len({device.gpu or f"#{index}" for index, device in enumerate(devices)})


def extended_resources(classes: Iterable[Mapping[str, Any]]) -> Mapping[str, bool]:
    """Resources that DeviceClasses hand out this driver's devices as (``extendedResourceName``, Kubernetes >= 1.34).

    And whether these are known to be whole GPUs only: with AutoPartition the driver's chart has such a class.
    """
    found: dict[str, bool] = {}
    for device_class in classes:
        named = text(object_at(device_class, "metadata").get("name")) == DRIVER
        selectors = objects_at(device_class, "spec", "selectors")
        rules = [text(object_at(each, "cel").get("expression")) for each in selectors]
        name = text(object_at(device_class, "spec").get("extendedResourceName"))
        # A class without a selector is one of all devices.
        if name and (named or not selectors or any(DRIVER in rule for rule in rules)):
            found[name] = any(map(_is_whole, rules)) and found.get(name, True)
    return found


def _is_whole(rule: str) -> bool:
    """Whether CEL chooses whole GPUs alone, where devices say their mode; False when that is not understood."""
    parts = [part.strip() for part in rule.split("&&")]
    whole = [part for part in parts if _WHOLE.fullmatch(part)]
    return bool(whole) and all(part in whole or _OTHER.fullmatch(part) for part in parts)


def device_selector(products: Sequence[str], *, whole: bool = False) -> str:
    """CEL for a claim: devices of these products, of every known MI3xx without any, that are not for virtual machines.

    By device id; a driver that does not write one (v0) is taken at its product name. `whole`: of the modes that
    AutoPartition offers for a GPU, the whole one. A reference to an attribute that a device lacks would abort the
    allocation, so each is asked for first.
    """
    wanted = [product for product in PRODUCTS if not products or product.name in products]
    ids = json.dumps([f"0x{device_id}" for product in wanted for device_id in product.ids])
    boards = json.dumps([f"AMD_Instinct_{board}" for product in wanted for board in MARKETING_NAMES[product.name]])
    of = f'device.attributes["{DRIVER}"]'
    named = f"has({of}.productName) && {of}.productName in {boards}"
    known = f'has({of}.deviceID) && {of}.deviceID.startsWith("0x") ? {of}.deviceID in {ids} : {named}'
    mode = f' && (!has({of}.computePartition) || {of}.computePartition == "spx")' if whole else ""
    return f'!(has({of}.type) && {of}.type == "vfio") && ({known}){mode}'


def node_of_slice(resource_slice: Mapping[str, Any]) -> str:
    """The node of a slice of our driver; "" for other drivers and for slices that are not node-local."""
    spec = as_object(resource_slice.get("spec"))
    if text(spec.get("driver")) != DRIVER:
        return ""
    node = text(spec.get("nodeName"))
    if not node and not any(spec.get(key) for key in _NOT_NODE_LOCAL):
        # The driver names the pool after the node.
        node = text(as_object(spec.get("pool")).get("name"))
    return node


def dra_gpus(slices: Iterable[Mapping[str, Any]], node: str) -> DraGpus:
    """Read the slices of one node; those of other nodes and drivers are passed over."""
    specs = [as_object(found.get("spec")) for found in slices if node and node_of_slice(found) == node]
    current, incomplete = _current(specs)
    devices: dict[tuple[str, str], DraDevice] = {}
    vfio: set[tuple[str, str]] = set()
    for number, spec in enumerate(current):
        pool = text(as_object(spec.get("pool")).get("name"))
        for index, device in enumerate(as_objects(spec.get("devices"))):
            name = text(device.get("name"))
            # The same slice may be given in two API versions: a device counts once.
            identity = (pool, name or f"#{number}.{index}")
            body = as_object(device.get("basic")) or device
            attributes = _texts(body.get("attributes"))
            if attributes.get("type", "").lower() == "vfio":
                vfio.add(identity)
            else:
                devices.setdefault(identity, _device(name, body, attributes))
    return DraGpus(tuple(devices.values()), len(vfio), incomplete)


def _current(specs: Iterable[Json]) -> tuple[list[Json], bool]:
    """The slices of the highest generation of each pool, and whether any pool lacks slices that it announces."""
    pools: dict[str, list[Json]] = defaultdict(list)
    for spec in specs:
        pools[text(as_object(spec.get("pool")).get("name"))].append(spec)
    current, incomplete = [], False
    for pool in pools.values():
        newest = max(_of_pool(spec, "generation") for spec in pool)
        latest = [spec for spec in pool if _of_pool(spec, "generation") == newest]
        incomplete |= max(_of_pool(spec, "resourceSliceCount") for spec in latest) > len(latest)
        current += latest
    return current, incomplete


def _of_pool(spec: Json, key: str) -> int:
    return quantity(as_object(spec.get("pool")).get(key)) or 0


def _texts(values: object) -> dict[str, str]:
    """Attributes or capacities as texts by unqualified name; the driver's own domain may be written or not."""
    return {name.removeprefix(_DOMAIN): _scalar(value) for name, value in as_object(values).items()}


def _scalar(value: object) -> str:
    wrapped = as_object(value)
    if wrapped:
        value = next((wrapped[kind] for kind in _SCALARS if kind in wrapped), None)
    return text(value)


def _device(name: str, body: Mapping[str, Any], attributes: Mapping[str, str]) -> DraDevice:
    capacity = _texts(body.get("capacity"))
    ids = [attributes.get(key, "") for key in ("deviceID", "parentDeviceID")]
    parsed = next((found for found in map(dra_device_id, ids) if found), None)
    auto_name = _AUTO_NAME.fullmatch(name)
    memory = quantity(capacity.get("memory"))
    gib = None if memory is None else round(memory / _GIB)
    return DraDevice(
        device_id=parsed,
        rejected_id="" if parsed else ids[0] or ids[1],
        product_name=attributes.get("productName", ""),
        mode=mode_of_profile(attributes.get("partitionProfile") or attributes.get("computePartition") or ""),
        compute_units=quantity(capacity.get("computeUnits")) or None,
        memory_gib=None if gib in _FAKE_MEMORY_GIB else gib,
        gpu=_physical_gpu(attributes, auto_name[1] if auto_name else ""),
        auto=bool(auto_name or attributes.get("computePartition") or attributes.get("gpuIndex")),
        tainted=any(text(taint.get("effect")) in BLOCKING_EFFECTS for taint in as_objects(body.get("taints"))),
    )


def _physical_gpu(attributes: Mapping[str, str], auto_name: str) -> str | None:
    """What distinguishes physical GPUs: the PCI address, else the PCIe root and the GPU's index on the node."""
    for key in (_PCI_BUS_ID, "pciAddr", "parentPciAddr"):
        if attributes.get(key):
            return attributes[key].lower()
    index = attributes.get("gpuIndex") or auto_name
    return f"{attributes.get(_PCIE_ROOT, '')}/{index}" if index else None
