"""The generated CRD: up to date, bounded everywhere, and explained everywhere."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.api import crd
from hipbmm_operator.api.spec import Spec

Json = dict[str, Any]
SCHEMA = crd.schema(crd.DEPLOYMENT)["properties"]
KINDS = pytest.mark.parametrize("of", crd.DEFINITIONS, ids=lambda of: of.kind.plural)


def fields(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every field, item and value of a schema."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from fields(child, f"{path}.{name}")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from fields(node["additionalProperties"], f"{path}{{}}")


def all_fields(of: crd.Definition) -> list[tuple[str, Json]]:
    """Every field of spec and status."""
    properties = crd.schema(of)["properties"]
    return [found for part in ("spec", "status") for found in fields(properties[part], part)]


ALL = all_fields(crd.DEPLOYMENT)
EACH = [(f"{of.kind.plural}: {path}", node) for of in crd.DEFINITIONS for path, node in all_fields(of)]


@KINDS
def test_the_file_is_what_the_models_say(of: crd.Definition) -> None:
    assert of.file.read_text() == crd.plain(of), "python -m hipbmm_operator.api.crd --write"


@pytest.mark.parametrize(("path", "node"), EACH, ids=[path for path, _ in EACH])
def test_every_field_is_explained_and_bounded(path: str, node: Json) -> None:
    named = not path.endswith(("[]", "{}"))
    if named:
        assert node.get("description", "").endswith((".", ")")), path
    kind = node.get("type")
    if kind == "string":
        assert "maxLength" in node or "enum" in node
    elif kind == "integer":
        assert "minimum" in node
    elif kind == "array":
        assert "maxItems" in node
        assert node["x-kubernetes-list-type"] in ("set", "map", "atomic")
    elif kind == "object" and "properties" not in node:
        assert "maxProperties" in node
    else:
        assert kind in ("object", "boolean") or node.get("x-kubernetes-int-or-string")


def test_no_default_is_stored_but_those_that_others_read() -> None:
    """The scale subresource, and kstatus before the operator has seen a resource."""
    assert [path for path, node in ALL if "default" in node] == ["spec.replicas", "status"]


@KINDS
def test_a_resource_that_nobody_has_seen_is_not_done(of: crd.Definition) -> None:
    """By kstatus: another generation than its own."""
    unseen = crd.schema(of)["properties"]["status"]["default"]
    assert unseen["observedGeneration"] == -1
    assert of.status.model_validate(unseen).model_dump(by_alias=True)["observedGeneration"] == -1


def test_defaults_are_in_the_descriptions() -> None:
    said = {path: node["description"] for path, node in ALL if "description" in node}
    assert said["spec.server.startupSeconds"].endswith("Default: 1800.")
    assert said["spec.tuning.policy"].endswith("Default: ServeUntuned.")
    assert said["spec.cache.pvc.accessModes"].endswith('Default: ["ReadWriteMany"].')


@KINDS
def test_columns_lead_to_fields(of: crd.Definition) -> None:
    known = {path for path, _ in all_fields(of)}
    for column in of.columns:
        path = column["jsonPath"].lstrip(".")
        if path.startswith(("spec", "status")) and "[?" not in path:
            assert path in known


@KINDS
def test_the_chart_template_is_the_same_behind_its_switches(of: crd.Definition) -> None:
    text = crd.helm(of)
    assert text.startswith("{{- if .Values.crds.enabled }}")
    assert "helm.sh/resource-policy: keep" in text
    plain = "\n".join(line for line in text.splitlines() if "{{" not in line and "resource-policy" not in line)
    body = yaml.load(plain.replace("  annotations:\n", "", 1).replace("  labels:\n", "", 1), yaml.CSafeLoader)
    assert body == crd.crd(of)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["spec"]["properties"])), JSON))
def test_no_spec_breaks_the_parser(spec: Json) -> None:
    try:
        Spec.model_validate(spec)
    except ValueError:
        return
