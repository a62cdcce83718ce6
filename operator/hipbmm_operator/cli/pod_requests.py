"""What running pods take of the GPU resources of each node."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hipbmm_operator.detect.sources.facts import is_gpu_resource
from hipbmm_operator.detect.sources.values import mapping, quantity, sequence, text

_TERMINAL: Final = frozenset({"Succeeded", "Failed"})


def gpu_requests(pods: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Devices by node and resource that pods hold which are bound to a node and have not ended.

    Leave out the pods of a deployment whose own chances are asked for. DRA claims are not in the pods and not counted.
    """
    taken: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pod in pods:
        spec = mapping(pod.get("spec"))
        node = text(spec.get("nodeName"))
        if node and text(mapping(pod.get("status")).get("phase")) not in _TERMINAL:
            for resource, number in _of_pod(spec).items():
                taken[node][resource] += number
    return {node: dict(resources) for node, resources in taken.items()}


def _of_pod(spec: Mapping[str, Any]) -> dict[str, int]:
    """Containers and sidecars run together; an init container runs beside the sidecars started before it."""
    running: dict[str, int] = defaultdict(int)
    peak: dict[str, int] = defaultdict(int)
    for container in map(mapping, sequence(spec.get("initContainers"))):
        wanted = _of_container(container)
        if text(container.get("restartPolicy")) == "Always":
            for resource, number in wanted.items():
                running[resource] += number
        else:
            for resource, number in wanted.items():
                peak[resource] = max(peak[resource], running[resource] + number)
    for container in map(mapping, sequence(spec.get("containers"))):
        for resource, number in _of_container(container).items():
            running[resource] += number
    return {resource: max(running[resource], peak[resource]) for resource in {*running, *peak}}


def _of_container(container: Mapping[str, Any]) -> dict[str, int]:
    resources = mapping(container.get("resources"))
    # An extended resource has requests equal to limits, and a missing request means the limit.
    merged = {**mapping(resources.get("limits")), **mapping(resources.get("requests"))}
    return {name: quantity(value) or 0 for name, value in merged.items() if is_gpu_resource(name)}
