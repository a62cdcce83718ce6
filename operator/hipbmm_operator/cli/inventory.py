"""Nodes, and what belongs to them, from the text of a file.

YAML of any number of documents or JSON, single objects or lists.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hipbmm_operator.cli.plain_yaml import PlainYamlError, documents
from hipbmm_operator.detect.sources.dra import node_of_slice
from hipbmm_operator.detect.sources.facts import is_gpu_resource, node_name
from hipbmm_operator.detect.sources.pci import node_of_feature
from hipbmm_operator.detect.sources.values import shown, text
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, object_at
from hipbmm_operator.resources import pod_demand

# API group by kind; other groups have kinds of the same names (Longhorn has a Node).
_GROUPS: Final = {
    "Node": "",
    "Pod": "",
    "ResourceSlice": "resource.k8s.io",
    "DeviceClass": "resource.k8s.io",
    "NodeFeature": "nfd.k8s-sigs.io",
}
_TYPES: Final = {type(None): "null", dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
_LONGEST_PROBLEM: Final = 300
_TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_OBJECTS: Final = ("metadata", "spec", "status", "metadata.labels", "status.capacity", "status.allocatable")


@dataclass(slots=True)
class Inventory:
    """What a file holds; ``problems`` name document and field, ``passed_over`` counts objects of other kinds."""

    nodes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    features: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    pods: list[Json] = field(default_factory=list)
    classes: list[Mapping[str, Any]] = field(default_factory=list)
    passed_over: int = 0
    problems: list[str] = field(default_factory=list)


def read_inventory(written: str) -> Inventory:
    """Read all objects; what cannot be read is a problem and does not hide the rest."""
    inventory = Inventory()
    number = 0
    try:
        for number, document in enumerate(_documents(written), start=1):
            _add_document(inventory, document, f"document {number}")
    except PlainYamlError as error:
        inventory.problems.append(f"document {number + 1}: {shown(str(error), _LONGEST_PROBLEM)}")
    return inventory


def _documents(written: str) -> Iterable[Any]:
    try:
        # As text, like the scalars of YAML: 1e5 in JSON is somebody's unquoted label value.
        return [json.loads(written, parse_int=str, parse_float=str, parse_constant=str)]
    except RecursionError as error:
        raise PlainYamlError("too many levels") from error
    except ValueError:
        # YAML, or several JSON documents.
        return documents(written)


def _add_document(inventory: Inventory, document: object, where: str) -> None:
    """One object, or several: a list, or a List, of which the API server's own (``NodeList``) name no kind of items."""
    kind, many = "", document
    if isinstance(document, dict) and text(document.get("kind")).endswith("List"):
        kind, where = text(document["kind"]).removesuffix("List"), f"{where}, items"
        many = document.get("items")
        if many is not None and not isinstance(many, list):
            inventory.problems.append(f"{where}: a list is wanted, this is {_kind_of(many)}")
            return
    if isinstance(many, list):
        for index, item in enumerate(many):
            _add_object(inventory, item, f"{where}[{index}]", ".", kind)
    elif many is not None:
        _add_object(inventory, many, where, ", ", kind)


def _add_object(inventory: Inventory, found: object, where: str, then: str, kind: str) -> None:
    """``then`` stands between the place of the object and the name of a field."""
    if not isinstance(found, dict):
        inventory.problems.append(f"{where}: an object is wanted, this is {_kind_of(found)}")
        return
    at = where + then
    kind = text(found.get("kind")) or kind
    if not kind:
        inventory.problems.append(f"{at}kind: missing")
        return
    version = text(found.get("apiVersion"))
    if kind not in _GROUPS or (version and version.rpartition("/")[0] != _GROUPS[kind]):
        inventory.passed_over += 1
        return
    inventory.problems.extend(f"{at}{problem}" for problem in _wrong_types(found))
    if kind == "Node":
        _add_node(inventory, found, f"{at}metadata.name")
    elif kind == "Pod":
        inventory.pods.append(found)
    elif kind == "DeviceClass":
        inventory.classes.append(found)
    elif kind == "ResourceSlice":
        inventory.slices[node_of_slice(found)].append(found)
    else:
        inventory.features[node_of_feature(found)].append(found)


def _add_node(inventory: Inventory, found: Json, where: str) -> None:
    name = node_name(found)
    if not name:
        inventory.problems.append(f"{where}: missing")
    elif name in inventory.nodes:
        inventory.problems.append(f"{where}: a second Node {shown(name)}; the first one counts")
    else:
        inventory.nodes[name] = found


def _wrong_types(found: Json) -> Iterator[str]:
    """Fields that must be objects and are none, and labels that are no texts; detection takes them for missing."""
    for path in _OBJECTS:
        parent, _, key = path.rpartition(".")
        value = (as_object(found.get(parent)) if parent else found).get(key)
        if value is not None and not isinstance(value, dict):
            yield f"{path}: an object is wanted, this is {_kind_of(value)}"
    for key, value in object_at(found, "metadata", "labels").items():
        if value is None or isinstance(value, dict | list):
            yield f"metadata.labels[{shown(key)}]: a text is wanted, this is {_kind_of(value)}"


def _kind_of(value: object) -> str:
    return _TYPES[type(value)]


def gpu_requests(pods: Iterable[Json]) -> dict[str, Counter[str]]:
    """Devices by node and resource that pods hold which are bound to a node and have not ended.

    Leave out the pods of a deployment whose own chances are asked for. DRA claims are not in the pods and not counted.
    """
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in pods:
        node = text(object_at(pod, "spec").get("nodeName"))
        if node and text(object_at(pod, "status").get("phase")) not in _TERMINAL:
            asked = pod_demand.of(pod).requests
            taken[node] += Counter({name: int(amount) for name, amount in asked.items() if is_gpu_resource(name)})
    return taken
