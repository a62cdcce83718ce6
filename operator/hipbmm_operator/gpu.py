"""What a pod template says about GPUs: node affinity by product, and tolerations.

The affinity is a *static* list of terms: it depends on the accepted products and on nothing in the cluster, so nodes
that come and go never change a pod template. It is part of every pod, so it is kept small: a weaker label counts only
where the labeller's device id is missing, and each term says no more than it must.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from hipbmm_operator.detect.products import PRODUCTS, Product

Json = dict[str, Any]

WHOLE_GPU = "amd.com/gpu"
OVERRIDE_LABEL = "hipbmm.io/gpu-product"
"""Set by a person on a node that nothing else identifies."""

_ID = "amd.com/gpu.device-id"
_NFD = "feature.node.kubernetes.io/pci-1002_{}.present"
"""The form with ids, vendor and device, that the gpu-operator's documentation sets up."""
_NFD_MI300X = "feature.node.kubernetes.io/amd-gpu-mi300x"

_INSTANCE_TYPES: dict[str, tuple[str, ...]] = {
    "MI300X": (
        "BM.GPU.MI300X.8",
        "Standard_ND96is_MI300X_v5",
        "Standard_ND96isr_MI300X_v5",
        "gpu-mi300x1-192gb",
        "gpu-mi300x8-1536gb",
        "gx3d-208x1792x8mi300x",
        "mi300x-192gb-ib.8x",
        "vbm-256c-2048gb-8-mi300x-gpu",
    ),
    "MI325X": ("vbm-256c-3072gb-8-mi325x-gpu",),
    "MI355X": ("BM.GPU.MI355X-v0.8", "BM.GPU.MI355X-v1.8", "BM.GPU.MI355X.8"),
}


def node_terms(products: Sequence[str] | None, resource: str, required: Sequence[Json] = ()) -> list[Json]:
    """Node selector terms (ORed): a node with one of the products (every MI3xx without any), and one of `required`."""
    wanted = [product for product in PRODUCTS if not products or product.name in products]
    whole = resource == WHOLE_GPU
    terms = [
        _term(_in(OVERRIDE_LABEL, (product.name for product in wanted))),
        *(_labelled(product, whole=whole) for product in wanted),
        *(_labelled(product, whole=whole, prefix="beta.") for product in wanted),
        *_unlabelled(wanted),
    ]
    return _both(terms, required) if required else terms


def tolerations(choice: str) -> list[Json]:
    """`default`: the taint that keeps other pods off GPU nodes. Taints of maintenance are never tolerated."""
    return [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}] if choice == "default" else []


def _labelled(product: Product, *, whole: bool, prefix: str = "") -> Json:
    """A node whose labeller tells the device id; with whole GPUs asked for, not one that is cut into partitions.

    Old labellers write beta labels only. GPUs that are handed to virtual machines keep their id and say so in `mode`.
    """
    requirements = [
        _in(prefix + _ID, product.ids),
        _not_in(prefix + "amd.com/gpu.mode", ("pf-passthrough", "vf-passthrough")),
    ]
    parts = sorted({product.compute_units // ways for ways in product.modes.values() if ways > 1})
    if whole and parts:
        requirements.append(_not_in(prefix + "amd.com/gpu.cu-count", map(str, parts)))
    return _term(*requirements, *([_missing(_ID)] if prefix else []))


def _unlabelled(products: Sequence[Product]) -> list[Json]:
    """Nodes without a labeller: NFD's ids, then names."""
    names = [product.name for product in products]
    ids = [device for product in products for device in product.ids]
    evidence = [_exists(_NFD.format(device)) for device in ids]
    marketing = [f"AMD_Instinct_{name}{suffix}" for name in names for suffix in ("", "_OAM", "_HF", "_VF")]
    marketing += [f"AMD_Instinct_{name[:-1]}_OAM" for name in names if name in ("MI325X", "MI350X", "MI355X")]
    evidence.append(_in("amd.com/gpu.product-name", marketing))
    evidence += [_exists(f"feature.node.kubernetes.io/aim-accelerator.{name}") for name in names]
    evidence.append(_in("doks.digitalocean.com/gpu-model", (name.lower() for name in names)))
    types = [instance for name in names for instance in _INSTANCE_TYPES.get(name, ())]
    evidence += [_in("node.kubernetes.io/instance-type", types)] if types else []
    evidence += [_exists(_NFD_MI300X)] if "MI300X" in names else []
    return [_term(entry, _missing(_ID)) for entry in evidence]


def _both(terms: Sequence[Json], required: Sequence[Json]) -> list[Json]:
    combined: list[Json] = []
    for other in required:
        for term in terms:
            merged = {key: [*other.get(key, []), *term.get(key, [])] for key in ("matchExpressions", "matchFields")}
            combined.append({key: value for key, value in merged.items() if value})
    return combined


def _term(*requirements: Json) -> Json:
    return {"matchExpressions": list(requirements)}


def _in(key: str, values: Iterable[str]) -> Json:
    return {"key": key, "operator": "In", "values": list(values)}


def _not_in(key: str, values: Iterable[str]) -> Json:
    return {"key": key, "operator": "NotIn", "values": list(values)}


def _exists(key: str) -> Json:
    return {"key": key, "operator": "Exists"}


def _missing(key: str) -> Json:
    return {"key": key, "operator": "DoesNotExist"}
