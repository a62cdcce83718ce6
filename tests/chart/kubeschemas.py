"""Strict JSON schemas of the Kubernetes API, made from the API server's own OpenAPI document.

kubeconform's public schemas need the network. The document that they are made from is also inside the Go module
`k8s.io/kubernetes` (`api/openapi-spec/swagger.json`), which localkube pins, so these are the schemas of the API server
that the tests run.
"""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.chart.tools import ROOT, cache_dir

Schema = dict[str, Any]
REF = "#/definitions/"
# Types whose wire form is wider than their OpenAPI type says (they have their own JSON marshaller).
WIDER: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
# Keywords that do not constrain, and whose values are data rather than schemas.
DATA = {"default", "example"}
# Bump when the conversion below changes: the cache directory is named by it.
FORMAT = "3"


def convert(swagger: Schema) -> dict[str, Schema]:
    """File name (`deployment-apps-v1.json`) -> strict standalone schema, for each kind of an OpenAPI v2 document."""
    definitions = {name: WIDER.get(name) or strict(body) for name, body in swagger["definitions"].items()}
    schemas = {}
    for name, body in swagger["definitions"].items():
        for gvk in body.get("x-kubernetes-group-version-kind", []):
            schemas[file_name(gvk["group"], gvk["version"], gvk["kind"])] = standalone(name, gvk, definitions)
    return schemas


def file_name(group: str, version: str, kind: str) -> str:
    """Name that kubeconform's default template asks for: only the first label of the group counts."""
    parts = [kind.lower(), group.split(".", maxsplit=1)[0], version] if group else [kind.lower(), version]
    return "-".join(parts) + ".json"


def strict(node: Any) -> Any:  # noqa: ANN401 (a JSON value)
    """The same schema with `additionalProperties: false` wherever properties are listed."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    result = {
        # The keys of `properties` are names of fields, whatever they look like.
        key: {name: strict(child) for name, child in value.items()} if key == "properties" else strict(value)
        for key, value in node.items()
        if not key.startswith("x-kubernetes-") and key not in DATA
    }
    open_object = "additionalProperties" in node or node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(node.get("properties"), dict) and not open_object:
        result["additionalProperties"] = False
    return result


def standalone(name: str, gvk: Schema, definitions: dict[str, Schema]) -> Schema:
    """One definition with everything it refers to, and with its apiVersion and kind fixed."""
    api_version = "/".join(filter(None, [gvk["group"], gvk["version"]]))
    head = {"properties": {"apiVersion": {"const": api_version}, "kind": {"const": gvk["kind"]}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "allOf": [{"$ref": REF + name}, {**head, "required": ["apiVersion", "kind"]}],
        "definitions": {part: definitions[part] for part in sorted(closure(name, definitions))},
    }


def closure(name: str, definitions: dict[str, Schema]) -> set[str]:
    """Names of all definitions that can be reached from one."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting.extend(references(definitions[current]))
    return reached


def references(node: Any) -> list[str]:  # noqa: ANN401 (a JSON value)
    if isinstance(node, list):
        return [ref for item in node for ref in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix(REF)] if isinstance(node.get("$ref"), str) else []
    return own + [ref for value in node.values() for ref in references(value)]


def convert_crd(crd: Schema, metadata: Schema) -> dict[str, Schema]:
    """Schemas of the versions of a CustomResourceDefinition; `metadata` are the definitions that ObjectMeta needs."""
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    schemas = {}
    for version in crd["spec"]["versions"]:
        body = strict(version["schema"]["openAPIV3Schema"])
        body["properties"] |= {"apiVersion": {"const": f"{group}/{version['name']}"}, "kind": {"const": kind}}
        body["properties"]["metadata"] = {"$ref": REF + META}
        body["required"] = sorted({*body.get("required", []), "apiVersion", "kind", "metadata"})
        schemas[file_name(group, version["name"], kind)] = {**body, "definitions": metadata}
    return schemas


META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@functools.cache
def kubernetes_module(minor: str = "1.37") -> Path:
    """Directory of the pinned `k8s.io/kubernetes` module; go downloads it when it is not there."""
    pinned = ROOT / "dev" / "localkube" / "modules" / f"kubernetes-{minor}"
    command = ["go", "mod", "download", "-json", "k8s.io/kubernetes"]
    done = subprocess.run(command, check=True, cwd=pinned, stdout=subprocess.PIPE, text=True)
    return Path(json.loads(done.stdout)["Dir"])


@functools.cache
def swagger() -> Schema:
    document = kubernetes_module() / "api" / "openapi-spec" / "swagger.json"
    content: Schema = json.loads(document.read_text())
    return content


def kubernetes_schemas() -> Path:
    """Directory of schema files of the built-in kinds; made once per Kubernetes version."""
    target = cache_dir() / "kubernetes-schemas" / f"{kubernetes_module().name.replace('@', '-')}-{FORMAT}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        publish(convert(swagger()), target)
    return target


def crd_schemas(crds: list[Schema], target: Path) -> Path:
    """Write schema files of custom kinds into an existing directory."""
    definitions = {name: WIDER.get(name) or strict(body) for name, body in swagger()["definitions"].items()}
    metadata = {part: definitions[part] for part in closure(META, definitions)}
    for crd in crds:
        for name, schema in convert_crd(crd, metadata).items():
            (target / name).write_text(json.dumps(schema))
    return target


def publish(schemas: dict[str, Schema], target: Path) -> None:
    """Write all files beside the target and then rename: a second run never sees half of them."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / "schemas"
        made.mkdir()
        for name, schema in schemas.items():
            (made / name).write_text(json.dumps(schema))
        try:
            made.rename(target)
        except OSError:
            # Another run was faster: its files have the same content.
            if not target.is_dir():
                raise
