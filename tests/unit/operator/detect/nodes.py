"""Builders of Kubernetes objects for the detection tests; short prefixes as in the fact sheet."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.identity import Identity

PREFIXES = {"A:": "amd.com/gpu.", "B:": "beta.amd.com/gpu.", "F:": "feature.node.kubernetes.io/"}
Json = dict[str, Any]


def expand(labels: Json) -> Json:
    return {next((p + k[2:] for s, p in PREFIXES.items() if k.startswith(s)), k): v for k, v in labels.items()}


def node(
    labels: Json | None = None,
    alloc: Json | None = None,
    *,
    name: str = "n",
    cap: Json | None = None,
    taints: list[str] | None = None,
    unschedulable: bool = False,
    ready: str = "True",
) -> Json:
    spec: Json = {"taints": [taint(text) for text in taints]} if taints else {}
    if unschedulable:
        spec["unschedulable"] = True
    common = {"cpu": "192", "memory": "2Ti"}
    alloc = alloc or {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **expand(labels or {})}},
        "spec": spec,
        "status": {
            "capacity": {**common, **(alloc if cap is None else cap)},
            "allocatable": {**common, **alloc},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


def taint(text: str) -> Json:
    key, _, effect = text.rpartition(":")
    key, equals, value = key.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if equals else {})}


def device(index: int = 0, name: str | None = None, /, **attributes: str | int) -> Json:
    """A DRA device in the flat shape; attribute names may have "__" for the domain resource.kubernetes.io/."""
    attributes = {"type": "amdgpu", "deviceID": "0x74a1", **attributes}
    capacity = {k: {"value": attributes.pop(k)} for k in ("memory", "computeUnits", "simdUnits") if k in attributes}
    return {
        "name": name or f"gpu-{index}-{128 + index}",
        "attributes": {
            k.replace("__", "resource.kubernetes.io/"): {"int" if isinstance(v, int) else "string": v}
            for k, v in attributes.items()
        },
        "capacity": capacity,
    }


def resource_slice(
    devices: list[Json],
    *,
    node: str = "n",
    driver: str = "gpu.amd.com",
    generation: int = 1,
    count: int = 1,
    version: str = "v1",
    name: str = "s",
) -> Json:
    if version == "v1beta1":
        devices = [
            {"name": d["name"], "basic": {key: value for key, value in d.items() if key != "name"}} for d in devices
        ]
    return {
        "apiVersion": f"resource.k8s.io/{version}",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {
            "driver": driver,
            "nodeName": node,
            "pool": {"name": node, "generation": generation, "resourceSliceCount": count},
            "devices": devices,
        },
    }


def node_feature(functions: list[tuple[str, str, str]], *, node: str = "n", name: str | None = None) -> Json:
    """A NodeFeature of (class, vendor, device) functions; with `name` given, without the node-name label."""
    labels = {} if name else {"nfd.node.kubernetes.io/node-name": node}
    elements = [{"attributes": {"class": c, "vendor": v, "device": d}} for c, v, d in functions]
    return {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeature",
        "metadata": {"name": name or f"nfd-{node}", "labels": labels},
        "spec": {"features": {"instances": {"pci.device": {"elements": elements}}}},
    }


def device_class(name: str = "gpu.amd.com", extended: object = "amd.com/gpu", driver: str = "gpu.amd.com") -> Json:
    selectors = [{"cel": {"expression": f"device.driver == '{driver}'"}}] if driver else []
    return {"metadata": {"name": name}, "spec": {"extendedResourceName": extended, "selectors": selectors}}


def chosen_by(rule: str) -> Json:
    selectors = [{"cel": {"expression": rule}}]
    return {
        "metadata": {"name": "gpu.amd.com-spx"},
        "spec": {"extendedResourceName": "amd.com/gpu", "selectors": selectors},
    }


WHOLE = chosen_by(
    "device.driver == 'gpu.amd.com' && 'computePartition' in device.attributes['gpu.amd.com'] && "
    "device.attributes['gpu.amd.com'].computePartition == 'spx'"
)


def detect(
    subject: Json,
    *,
    slices: Sequence[Json] = (),
    features: Sequence[Json] = (),
    tolerations: Sequence[Json] | None = None,
    previous: Identity | None = None,
    now: float = 1000.0,
    used: dict[str, int] | None = None,
    request: int = 1,
    extended: Mapping[str, bool] = MappingProxyType({}),
) -> Detection:
    chosen = default_tolerations() if tolerations is None else tolerations
    return detect_node(subject, slices, features, chosen, previous, now, used=used, request=request, extended=extended)


def codes(detection: Detection) -> set[str]:
    return {reason.code for reason in detection.reasons}
