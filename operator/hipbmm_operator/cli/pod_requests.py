"""What running pods take of the GPU resources of each node."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hipbmm_operator.detect.sources.facts import is_gpu_resource
from hipbmm_operator.detect.sources.values import text
from hipbmm_operator.kube.metadata import object_at
from hipbmm_operator.resources import pod_demand

_TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_LARGEST: Final = 2**63 - 1


def gpu_requests(pods: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Devices by node and resource that pods hold which are bound to a node and have not ended.

    Leave out the pods of a deployment whose own chances are asked for. DRA claims are not in the pods and not counted.
    """
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in pods:
        node = text(object_at(pod, "spec").get("nodeName"))
        if node and text(object_at(pod, "status").get("phase")) not in _TERMINAL:
            asked = pod_demand.of(dict(pod)).requests
            taken[node] += Counter({name: min(int(n), _LARGEST) for name, n in asked.items() if is_gpu_resource(name)})
    return {node: dict(resources) for node, resources in taken.items()}
