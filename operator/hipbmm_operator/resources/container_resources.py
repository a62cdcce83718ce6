"""CPU, memory and GPUs of the four containers. What the user gives wins, resource by resource."""

from collections.abc import Mapping

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract

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


def of_server(spec: Spec, gpus: int) -> Json:
    """The same for `warm` and `server`: Kubernetes counts the larger of the two, so tuning costs no further GPU."""
    limits, requests = _asked(spec, contract.SERVER)
    least = {key: value for key, value in _LEAST.items() if key not in {**limits, **requests}}
    devices = {spec.gpu.resource_name: str(gpus)}
    return {"limits": {**limits, **devices}, "requests": {**least, **requests, **devices}}


def of_injected(spec: Spec, name: str) -> Json:
    """Of `payload` or `harvest`; limits = requests where the server has such, so that the pod can be Guaranteed."""
    limits, requests = _asked(spec, name)
    for resource, limit in _LIMITS[name].items():
        if resource in limits:
            continue  # without a request, Kubernetes takes the limit
        least = limit if _guaranteed(spec) else _REQUESTS[name][resource]
        asked = str(requests.setdefault(resource, least))
        limits[resource] = asked if _less(limit, asked) else limit
    return {"limits": limits, "requests": requests} if requests else {"limits": limits}


def _asked(spec: Spec, name: str) -> tuple[dict[str, str | int], dict[str, str | int]]:
    asked = spec.pod_template.spec.container(name).resources
    return (dict(asked.limits or {}), dict(asked.requests or {})) if asked else ({}, {})


def _guaranteed(spec: Spec) -> bool:
    """Whether the server has limits equal to its requests, as exclusive CPUs and memory of one NUMA node need."""
    limits, requests = _asked(spec, contract.SERVER)
    return all(
        resource in limits and quantity.equal(limits[resource], requests.get(resource, limits[resource]))
        for resource in ("cpu", "memory")
    )


def _less(one: str, other: str) -> bool:
    first, second = quantity.value(one), quantity.value(other)
    return first is not None and second is not None and first < second
