"""CPU, memory and GPUs of the four containers. What the user gives wins, resource by resource."""

from collections.abc import Mapping

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.resources import gpu_claims
from hipbmm_operator.resources.circumstances import Bounds, larger, smaller

_Amounts = dict[str, str | int]
_LEAST = {"cpu": "100m", "memory": "512Mi"}
"""Requests of the server, so that a pod is never BestEffort, the first to be killed; what a model needs, only its user
knows."""
_REQUESTS: Mapping[str, Mapping[str, str]] = {
    contract.PAYLOAD: {"cpu": "10m", "memory": "32Mi"},
    contract.HARVEST: {"cpu": "10m", "memory": "64Mi"},
}
_LIMITS: Mapping[str, Mapping[str, str]] = {
    contract.PAYLOAD: {"cpu": "1", "memory": "128Mi"},
    contract.HARVEST: {"cpu": "500m", "memory": "256Mi"},
}
_DISK, _LOGS = "ephemeral-storage", "256Mi"
"""The disk of a node, and what of it is asked for where each container must name some. It is for logs, which the
kubelet keeps below some 50 MB."""


def of_server(spec: Spec, gpus: int, bounds: Mapping[str, Bounds]) -> Json:
    """The same for `warm` and `server`: Kubernetes counts the larger of the two, so tuning costs no further GPU.

    What the user does not give is left to a LimitRange of the namespace, where there is one for it.
    """
    limits, requests = _asked(spec, contract.SERVER)
    given = {**limits, **requests, **bounds}
    least = {resource: value for resource, value in _LEAST.items() if resource not in given}
    if spec.gpu.device_class_name:
        amounts = {"limits": limits, "requests": {**least, **requests}}
        return {"claims": [{"name": gpu_claims.CLAIM}], **{key: value for key, value in amounts.items() if value}}
    devices = {spec.gpu.resource_name: str(gpus)}
    return {"limits": {**limits, **devices}, "requests": {**least, **requests, **devices}}


def of_injected(spec: Spec, name: str, bounds: Mapping[str, Bounds]) -> Json:
    """Of `payload` or `harvest`; limits = requests where the server has such, so that the pod can be Guaranteed.

    And where a LimitRange bounds the resource: then no ratio of the two is too large. Devices they have none.
    """
    limits, requests = _asked(spec, name)
    for resource, usual in _LIMITS[name].items():
        if resource in limits:
            continue  # without a request, Kubernetes takes the limit
        bound = bounds.get(resource)
        limit = smaller(larger(usual, bound.least), bound.most) if bound else usual
        least = limit if bound or _guaranteed(spec) else _REQUESTS[name][resource]
        limits[resource] = larger(limit, str(requests.setdefault(resource, least)))
    _ask_for_disk(spec, limits, requests, bounds.get(_DISK))
    # A LimitRange gives its default to who names no amount, and its maximum is one: a container would get devices.
    devices = (each for each, bound in bounds.items() if "/" in each and not bound.least)
    limits.update({each: "0" for each in devices if each not in limits})
    return {"limits": limits, "requests": requests} if requests else {"limits": limits}


def _ask_for_disk(spec: Spec, limits: _Amounts, requests: _Amounts, bound: Bounds | None) -> None:
    """Disk where the user gives the server some, as a quota on it wants of each container.

    A limit only beside one of the server: the kubelet adds those of all containers up, and evicts the pod whose caches
    need more (k8s.io/kubernetes, pkg/kubelet/eviction, podEphemeralStorageLimitEviction). Without one a LimitRange sets
    both amounts, from its default, maximum or minimum: a request of ours could be above its limit, or break its ratio.
    """
    limited, requested = (_DISK in asked for asked in _asked(spec, contract.SERVER))
    if _DISK in limits or not (limited or (requested and bound is None)):
        return
    bound = bound or Bounds()
    amount = requests.setdefault(_DISK, smaller(larger(_LOGS, bound.least), bound.most))
    if limited:
        limits[_DISK] = amount


def _asked(spec: Spec, name: str) -> tuple[_Amounts, _Amounts]:
    asked = spec.pod_template.spec.container(name).resources
    return (dict(asked.limits or {}), dict(asked.requests or {})) if asked else ({}, {})


def _guaranteed(spec: Spec) -> bool:
    """Whether the server has limits equal to its requests, as exclusive CPUs and memory of one NUMA node need."""
    limits, requests = _asked(spec, contract.SERVER)
    return all(
        resource in limits and quantity.equal(limits[resource], requests.get(resource, limits[resource]))
        for resource in ("cpu", "memory")
    )
