"""What a pod template asks of a node and of a quota, as the scheduler counts it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from operator import add

from hipbmm_operator.kube import quantity
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, as_objects, fulfils, object_at, objects_at, parse
from hipbmm_operator.resources import circumstances

HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Demand:
    """Amounts by resource. `unsaid`: resources for which the defaults of the namespace count in some container."""

    requests: Mapping[str, Decimal] = field(default_factory=dict)
    limits: Mapping[str, Decimal] = field(default_factory=dict)
    unsaid: frozenset[str] = frozenset()

    def freed(self, name: str, amount: Decimal, new: "Demand") -> Decimal:
        """What a ResourceQuota gives back under a name, such as `requests.amd.com/gpu`, when a pod of this demand ends.

        It has counted a pod of the demand `new` with `amount`, which may be more than the template says: defaults of a
        LimitRange, the overhead of a RuntimeClass, containers that a webhook adds. Those are in both pods.
        """
        if name.startswith("count/") and name != "count/pods":
            return Decimal()  # no pod is one of these objects
        part, _, rest = name.partition(".")
        resource = rest if part in ("limits", "requests") else name
        own, other = (
            (each.limits if part == "limits" else each.requests).get(resource, Decimal()) for each in (self, new)
        )
        if (resource in self.unsaid) == (resource in new.unsaid):
            return amount - other + own
        return amount if resource in self.unsaid else own


def of(template: Json) -> Demand:
    """The demand of one pod: the sum of what runs at once, or of an init container alone when that is more.

    A native sidecar runs from its turn on, so later init containers come on top of it
    (kubernetes.io/docs/concepts/workloads/pods/sidecar-containers, "Resource sharing within containers").
    """
    return Demand(_total(template, "requests", "limits"), _total(template, "limits"), _unsaid(template))


def _unsaid(template: Json) -> frozenset[str]:
    spec = as_object(template.get("spec"))
    containers = [*as_objects(spec.get("initContainers")), *as_objects(spec.get("containers"))]
    limits = [object_at(container, "resources", "limits") for container in containers]
    bounded = circumstances.of(template).bounds
    return frozenset(resource for resource in bounded if any(resource not in each for each in limits))


def _total(template: Json, *parts: str) -> dict[str, Decimal]:
    spec = as_object(template.get("spec"))
    running: dict[str, Decimal] = {}
    most: dict[str, Decimal] = {}
    for container in as_objects(spec.get("initContainers")):
        own = _amounts(container, parts)
        if container.get("restartPolicy") == "Always":
            running = _each(add, running, own)
        else:
            most = _each(max, most, _each(add, running, own))
    for container in as_objects(spec.get("containers")):
        running = _each(add, running, _amounts(container, parts))
    return _each(max, running, most)


def _amounts(container: Json, parts: Sequence[str]) -> dict[str, Decimal]:
    """Amounts of a container; a request that is not given is the limit."""
    resources = as_object(container.get("resources"))
    found: dict[str, Decimal] = {}
    for part in reversed(parts):
        found |= {name: quantity.value(amount) or Decimal() for name, amount in as_object(resources.get(part)).items()}
    return found


def least(demands: Sequence[Demand]) -> Demand:
    """The smallest amount of each resource, of at least one demand."""
    requests, limits = [each.requests for each in demands], [each.limits for each in demands]
    unsaid = frozenset.intersection(*(each.unsaid for each in demands))
    return Demand(_each(min, *requests), _each(min, *limits), unsaid)


def repels(one: Json, other: Json, namespace: str) -> bool:
    """Whether a pod of template `one` may not be on a node with an older one of `other`, by its anti-affinity."""
    rules = object_at(one, "spec", "affinity", "podAntiAffinity")
    terms = as_objects(rules.get("requiredDuringSchedulingIgnoredDuringExecution"))
    return any(_is_about(term, one, other) and _reaches(term, namespace) for term in terms)


def spreads(one: Json, other: Json) -> bool:
    """Whether older pods of `other` count where pods of template `one` have to be spread.

    So it is as well when the template has no such rule: then somebody else has put one on the pods.
    """
    rules = objects_at(one, "spec", "topologySpreadConstraints")
    hard = [rule for rule in rules if rule.get("whenUnsatisfiable") == "DoNotSchedule"]
    return not hard or any(_is_about(rule, one, other) for rule in hard)


def _is_about(rule: Json, one: Json, other: Json) -> bool:
    """Whether a rule of pods of template `one` selects older pods of `other`.

    Of matchLabelKeys and mismatchLabelKeys those count that the pod with the rule has. No two templates have one hash.
    """
    own, labels = (parse(each).labels for each in (one, other))

    def same(keys: object) -> list[bool]:
        known = [key for key in keys if key in own or key == HASH] if isinstance(keys, list) else []
        return [key != HASH and own[key] == labels.get(key) for key in known]

    alike = all(same(rule.get("matchLabelKeys"))) and not any(same(rule.get("mismatchLabelKeys")))
    return alike and _selects(rule.get("labelSelector"), labels)


def _reaches(term: Json, namespace: str) -> bool:
    """Whether a term is about pods of the namespace."""
    named = term.get("namespaces")
    elsewhere = isinstance(named, list) and named and namespace not in named and term.get("namespaceSelector") is None
    return not elsewhere


def _selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; none at all selects nothing (meta/v1, LabelSelector)."""
    if not isinstance(selector, dict):
        return False
    rules = as_objects(selector.get("matchExpressions"))
    plain = all(labels.get(key) == value for key, value in as_object(selector.get("matchLabels")).items())
    return plain and all(fulfils(labels, rule) for rule in rules)


def _each(of: Callable[[Decimal, Decimal], Decimal], *amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """By resource the sum, maximum or minimum of its amounts; where it is not there, it counts as 0."""
    names = set[str]().union(*amounts)
    return {name: reduce(of, (each.get(name, Decimal()) for each in amounts)) for name in names}
