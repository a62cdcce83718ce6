"""The quality of service of a pod, by which the kubelet evicts: a sidecar must not change it. Pure.

The class counts CPU and memory of all containers: Guaranteed where each has requests that are its limits, BestEffort
where none has either (kubernetes, pkg/apis/core/v1/helper/qos).
"""

from hipbmm_operator.injection.expr import Expr, both, either

_COUNTED = ("cpu", "memory")


def guaranteed(container: Expr) -> Expr:
    """Whether its requests are its limits: a sidecar whose requests are not would take Guaranteed away."""
    return both(*(_is_exact(container, resource) for resource in _COUNTED))


def bounded(container: Expr) -> Expr:
    """Whether it has any: where it has none, a sidecar that has some would raise BestEffort."""
    return either(*(_amount(container, kind, each) != "" for kind in ("requests", "limits") for each in _COUNTED))


def _is_exact(container: Expr, resource: str) -> Expr:
    asked = _amount(container, "requests", resource)
    return both(asked != "", asked == _amount(container, "limits", resource))


def _amount(container: Expr, kind: str, resource: str) -> Expr:
    return container.get("resources", kind, resource, default="")
