"""What a pod template depends on beside the spec: labels of nodes, rules of the namespace, variables of ConfigMaps.

They are read when a template is rendered and noted on it. So what changes later changes no pod, and a template can be
compared with the one that this operator would render in the same circumstances.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind
from hipbmm_operator.kube import metadata, names, quantity
from hipbmm_operator.kube.json_text import Json, loads
from hipbmm_operator.kube.metadata import as_object, objects_at

_KNOWN = {kind.value: kind for kind in LabelKind}
_BOUNDING = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a namespace's LimitRanges ask of one resource of a container; "" is no bound."""

    least: str = ""
    most: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The kinds of node label that an affinity reads, and what the namespace asks of pods.

    `bounds` has the resources that a LimitRange speaks about. `non_root`: only pods are admitted that promise not to
    run as root. `given`: variables of caches that the server has from ConfigMaps and Secrets (`envFrom`).
    """

    kinds: frozenset[LabelKind] = EVERY_KIND
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    non_root: bool = False
    given: frozenset[str] = frozenset()

    def annotations(self) -> dict[str, str]:
        """As a template notes them; nothing for every kind of label and no rules."""
        found = {}
        if self.kinds < EVERY_KIND:
            found[names.ANNOTATION_LABEL_KINDS] = ",".join(kind for kind in LabelKind if kind in self.kinds)
        rules: Json = {name: [bound.least, bound.most] for name, bound in sorted(self.bounds.items())}
        if self.non_root:
            rules["nonRoot"] = True
        if rules:
            found[names.ANNOTATION_NAMESPACE_RULES] = json.dumps(rules)
        if self.given:
            found[names.ANNOTATION_GIVEN] = ",".join(sorted(self.given))
        return found


def of(template: Json) -> Circumstances:
    """Those that a stored template was rendered in; templates of former operators read every kind of label."""
    noted = metadata.parse(template).annotations
    kinds = noted.get(names.ANNOTATION_LABEL_KINDS)
    try:
        rules = as_object(loads(str(noted.get(names.ANNOTATION_NAMESPACE_RULES, "{}"))))
    except ValueError:
        rules = {}
    bounds = {name: Bounds(*map(str, pair[:2])) for name, pair in rules.items() if isinstance(pair, list)}
    return Circumstances(
        kinds=EVERY_KIND if kinds is None else frozenset(_KNOWN[k] for k in str(kinds).split(",") if k in _KNOWN),
        bounds=bounds,
        non_root=bool(rules.get("nonRoot")),
        given=frozenset(filter(None, str(noted.get(names.ANNOTATION_GIVEN, "")).split(","))),
    )


def bounds_of(limit_ranges: Iterable[Json]) -> dict[str, Bounds]:
    """The bounds of containers that hold in a namespace: of several LimitRanges, the narrowest."""
    found: dict[str, Bounds] = {}
    for body in limit_ranges:
        for item in objects_at(body, "spec", "limits"):
            if item.get("type") == "Pod":
                # Of all containers together: what the operator adds has limits equal to its requests then.
                found.update({name: found.get(name, Bounds()) for name in as_object(item.get("maxLimitRequestRatio"))})
            if item.get("type") != "Container":
                continue
            least, most = as_object(item.get("min")), as_object(item.get("max"))
            for name in set().union(*(as_object(item.get(key)) for key in _BOUNDING)):
                before = found.get(name, Bounds())
                found[name] = Bounds(
                    larger(before.least, str(least.get(name, ""))), smaller(before.most, str(most.get(name, "")))
                )
    return found


def larger(one: str, other: str) -> str:
    """The larger of two quantities; the other one when one is none."""
    first, second = quantity.value(one), quantity.value(other)
    return other if first is None or (second is not None and second > first) else one


def smaller(one: str, other: str) -> str:
    """The smaller of two quantities; the other one when one is none."""
    first, second = quantity.value(one), quantity.value(other)
    return other if first is None or (second is not None and second < first) else one
