"""The quality of service of a pod, by which the kubelet evicts: a sidecar must not change it. Pure.

The class counts CPU and memory of all containers: Guaranteed where each has requests that are its limits, BestEffort
where none has either (kubernetes, pkg/apis/core/v1/helper/qos).
"""

from hipbmm_operator.injection.expr import Expr, both, constant, either, equal, negate, optional

_COUNTED = ("cpu", "memory")


def guaranteed(container: Expr) -> Expr:
    """Whether its requests are its limits: a sidecar whose requests are not would take Guaranteed away."""
    return both(*(_is_exact(container, resource) for resource in _COUNTED))


def bounded(container: Expr) -> Expr:
    """Whether it has any: where it has none, a sidecar that has some would raise BestEffort."""
    amounts = (_amount(container, kind, resource) for kind in ("requests", "limits") for resource in _COUNTED)
    return either(*(negate(equal(amount, constant(""))) for amount in amounts))


def _is_exact(container: Expr, resource: str) -> Expr:
    asked = _amount(container, "requests", resource)
    return both(negate(equal(asked, constant(""))), equal(asked, _amount(container, "limits", resource)))


def _amount(container: Expr, kind: str, resource: str) -> Expr:
    return optional(container, "resources", kind, resource, default="")
