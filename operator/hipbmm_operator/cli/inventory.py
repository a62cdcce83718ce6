"""Nodes, and what belongs to them, from the text of a file.

YAML of any number of documents or JSON, single objects or lists.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hipbmm_operator.cli.plain_yaml import PlainYamlError, documents
from hipbmm_operator.detect.sources.dra import node_of_slice
from hipbmm_operator.detect.sources.facts import node_name
from hipbmm_operator.detect.sources.pci import node_of_feature
from hipbmm_operator.detect.sources.values import shown, text
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, object_at

# API group by kind; other groups have kinds of the same names (Longhorn has a Node).
_GROUPS: Final = {
    "Node": "",
    "Pod": "",
    "ResourceSlice": "resource.k8s.io",
    "DeviceClass": "resource.k8s.io",
    "NodeFeature": "nfd.k8s-sigs.io",
}
_OBJECTS: Final = ("metadata", "spec", "status", "metadata.labels", "status.capacity", "status.allocatable")


@dataclass(slots=True)
class Inventory:
    """What a file holds; ``problems`` name document and field, ``passed_over`` counts objects of other kinds."""

    nodes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    features: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    pods: list[Mapping[str, Any]] = field(default_factory=list)
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
        inventory.problems.append(f"document {number + 1}: {shown_problem(str(error))}")
    return inventory


def shown_problem(problem: str) -> str:
    """A parser's message, which may quote the file, on one line and bounded."""
    return problem if problem.isprintable() and len(problem) <= 300 else ascii(problem[:300])[1:-1]  # noqa: PLR2004 - a line


def _documents(written: str) -> Iterator[Any]:
    if written.lstrip()[:1] in {"{", "["}:
        try:
            # As text, like the scalars of YAML: 1e5 in JSON is somebody's unquoted label value.
            yield json.loads(written, parse_int=str, parse_float=str, parse_constant=str)
        except RecursionError as error:
            raise PlainYamlError("too many levels") from error
        except ValueError:
            # YAML in flow style, or several JSON documents.
            yield from documents(written)
        return
    yield from documents(written)


def _add_document(inventory: Inventory, document: object, where: str) -> None:
    if document is None:
        return
    if isinstance(document, list):
        _add_items(inventory, document, where, "")
    elif not isinstance(document, dict):
        inventory.problems.append(f"{where}: an object is wanted, this is {_kind_of(document)}")
    elif text(document.get("kind")).endswith("List"):
        items = document.get("items")
        if isinstance(items, list):
            _add_items(inventory, items, f"{where}, items", text(document["kind"]).removesuffix("List"))
        elif items is not None:
            inventory.problems.append(f"{where}, items: a list is wanted, this is {_kind_of(items)}")
    else:
        _add_object(inventory, document, f"{where}, ", "")


def _add_items(inventory: Inventory, items: list[Any], where: str, kind: str) -> None:
    """The API server's own lists (``NodeList``) leave the kind out of their items."""
    for index, item in enumerate(items):
        place = f"{where}[{index}]"
        if isinstance(item, dict):
            _add_object(inventory, item, f"{place}.", kind)
        else:
            inventory.problems.append(f"{place}: an object is wanted, this is {_kind_of(item)}")


def _add_object(inventory: Inventory, found: Json, at: str, kind: str) -> None:
    """``at`` stands before the name of a field: ``document 1, `` or ``document 1, items[0].``."""
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
        node = node_of_slice(found)
        if node:
            inventory.slices[node].append(found)
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
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a boolean"
