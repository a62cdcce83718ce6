"""What a pod template asks of a node and of a quota, as the scheduler counts it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hipbmm_operator.kube import quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, as_objects


@dataclass(frozen=True, slots=True)
class Demand:
    """Amounts by resource."""

    requests: Mapping[str, Decimal] = field(default_factory=dict)
    limits: Mapping[str, Decimal] = field(default_factory=dict)

    def of_quota(self, name: str, otherwise: Decimal) -> Decimal:
        """The amount that a ResourceQuota counts under a name, such as `requests.amd.com/gpu`."""
        if name.startswith("count/") and name != "count/pods":
            return Decimal()  # no pod is one of these objects
        kind, _, resource = name.partition(".")
        if kind == "limits":
            return self.limits.get(resource, Decimal())
        if kind == "requests":
            return self.requests.get(resource, Decimal())
        return self.requests.get(name, otherwise)


def of(template: Json) -> Demand:
    """The demand of one pod: the sum of what runs at once, or of an init container alone when that is more.

    A native sidecar runs from its turn on, so later init containers come on top of it
    (kubernetes.io/docs/concepts/workloads/pods/sidecar-containers, "Resource sharing within containers").
    """
    return Demand(_total(template, "requests", "limits"), _total(template, "limits"))


def _total(template: Json, *parts: str) -> dict[str, Decimal]:
    spec = as_object(template.get("spec"))
    running: dict[str, Decimal] = {}
    most: dict[str, Decimal] = {}
    for container in as_objects(spec.get("initContainers")):
        own = _amounts(container, parts)
        if container.get("restartPolicy") == "Always":
            running = _sum(running, own)
        else:
            most = _max(most, _sum(running, own))
    for container in as_objects(spec.get("containers")):
        running = _sum(running, _amounts(container, parts))
    return _max(running, most)


def _amounts(container: Json, parts: Sequence[str]) -> dict[str, Decimal]:
    """Amounts of a container; a request that is not given is the limit."""
    resources = as_object(container.get("resources"))
    found: dict[str, Decimal] = {}
    for part in reversed(parts):
        found |= {name: quantity.value(amount) or Decimal() for name, amount in as_object(resources.get(part)).items()}
    return found


def least(demands: Iterable[Demand]) -> Demand:
    """The smallest amount of each resource."""
    listed = list(demands)
    return Demand(_min([each.requests for each in listed]), _min([each.limits for each in listed]))


def repels(one: Json, other: Json, namespace: str) -> bool:
    """Whether a pod of template `one` may not be on a node with an older one of `other`, by its anti-affinity."""
    labels = as_object(as_object(other.get("metadata")).get("labels"))
    rules = as_object(as_object(as_object(one.get("spec")).get("affinity")).get("podAntiAffinity"))
    terms = as_objects(rules.get("requiredDuringSchedulingIgnoredDuringExecution"))
    return any(_selects(term.get("labelSelector"), labels) and _reaches(term, namespace) for term in terms)


def _reaches(term: Json, namespace: str) -> bool:
    """Whether a term is about pods of the namespace, and not about those with the same hash of their template only."""
    named, keys = term.get("namespaces"), term.get("matchLabelKeys")
    elsewhere = isinstance(named, list) and named and namespace not in named and term.get("namespaceSelector") is None
    return not elsewhere and not (isinstance(keys, list) and "pod-template-hash" in keys)


def _selects(selector: object, labels: Json) -> bool:
    """Whether a label selector selects these labels; none at all selects nothing (meta/v1, LabelSelector)."""
    if not isinstance(selector, dict):
        return False
    rules = as_objects(selector.get("matchExpressions"))
    plain = all(labels.get(key) == value for key, value in as_object(selector.get("matchLabels")).items())
    return plain and all(_matches(rule, labels.get(str(rule.get("key")))) for rule in rules)


def _matches(rule: Json, value: object) -> bool:
    operator, values = str(rule.get("operator")), rule.get("values")
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    return (isinstance(values, list) and value in values) == (operator == "In")


def _sum(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: one.get(name, Decimal()) + other.get(name, Decimal()) for name in one.keys() | other.keys()}


def _max(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal()), other.get(name, Decimal())) for name in one.keys() | other.keys()}


def _min(amounts: Sequence[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    names = set[str]().union(*amounts)
    return {name: min(each.get(name, Decimal()) for each in amounts) for name in names}
