"""values.schema.json refuses what the chart would ignore or the API server would refuse later."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from tests.chart.rendering import RenderError, render
from tests.chart.tools import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def leaves(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(path, schema, default) of every value, the objects in between included."""
    for name, value in values.items():
        here, part = f"{path}{name}", schema["properties"][name]
        yield here, part, value
        if isinstance(value, dict) and "properties" in part and part.get("description") and value:
            yield from leaves(part, value, here + ".")


def comments() -> dict[str, str]:
    """Path of a key in values.yaml -> the comment above it."""
    found: dict[str, str] = {}
    stack: list[str] = []
    pending: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if comment := re.match(r" *# (.*)", line):
            pending.append(comment[1])
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            stack = [*stack[: len(key[1]) // 2], key[2]]
            if pending:
                found[".".join(stack)] = " ".join(pending)
            pending = []
        else:
            pending = []
    return found


def set_path(path: str, value: object) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def closed(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of all objects whose keys the chart defines."""
    yield path
    for name, value in values.items():
        part = schema["properties"][name]
        if isinstance(value, dict) and "properties" in part and name != "global":
            yield from closed(part, value, f"{path}.{name}".strip("."))


CLOSED = list(closed(SCHEMA, VALUES))


def test_schema_lists_exactly_the_values() -> None:
    for path in CLOSED:
        schema, values = SCHEMA, VALUES
        for part in filter(None, path.split(".")):
            schema, values = schema["properties"][part], values[part]
        if not path.startswith("resources"):
            assert set(schema["properties"]) == set(values), path
            assert schema["required"] == sorted(set(values) - {"global"}), path
        assert schema["additionalProperties"] is False, path


def test_every_value_is_described_in_the_schema_as_in_the_values_file() -> None:
    described = {path: part["description"] for path, part, _ in leaves(SCHEMA, VALUES) if "description" in part}
    assert described == comments()


@pytest.mark.parametrize("path", CLOSED)
def test_a_typo_beside_or_below_any_value_is_refused(path: str) -> None:
    values = json.loads(json.dumps(VALUES))
    inner = values
    for part in filter(None, path.split(".")):
        inner = inner[part]
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert not list(validator.iter_errors(values))
    inner["typo"] = "x"
    (error,) = validator.iter_errors(values)
    assert "'typo' was unexpected" in error.message
    assert list(error.absolute_path) == [part for part in path.split(".") if part]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("image.tag", "latest", "'not' failed"),
        ("image.tag", 1.0, "want string"),
        ("image.tag", "a b", "does not match pattern"),
        ("image.digest", "sha256:abc", "does not match pattern"),
        ("image.digest", "0" * 64, "does not match pattern"),
        ("image.pullPolicy", "Sometimes", "must be one of"),
        ("image.repository", "", "minLength"),
        ("image.repository", "Upper/case", "does not match pattern"),
        ("image.registry", "https://registry.example", "does not match pattern"),
        ("crds.enabled", "yes", "want boolean"),
        ("crds.keep", None, "missing property 'keep'"),
        ("watchNamespaces", "team-a", "want array"),
        ("watchNamespaces", ["Team_A"], "does not match pattern"),
        ("watchNamespaces", [""], "minLength"),
        ("watchNamespaces", ["*"], "does not match pattern"),
        ("watchNamespaces", ["a", "a"], "are equal"),
        ("imagePullSecrets", ["regcred"], "want object"),
        ("imagePullSecrets", [{"nam": "regcred"}], "missing property 'name'"),
        ("nodeLossSeconds", -1, "minimum"),
        ("nodeLossSeconds", 1.5, "want integer"),
        ("nodeLossSeconds", "30s", "want integer"),
        ("terminationGracePeriodSeconds", 0, "minimum"),
        ("log.level", "verbose", "must be one of"),
        ("log.format", "xml", "must be one of"),
        ("resources.limits.memory", "512MB", "does not match pattern"),
        ("resources.limits.memroy", "512Mi", "additional properties 'memroy' not allowed"),
        ("resources.limit.memory", "512Mi", "additional properties 'limit' not allowed"),
        ("commonLabels", {"a": "b c"}, "does not match pattern"),
        ("podLabels", {"a": 1}, "want string"),
        ("podAnnotations", {"a": True}, "want string"),
        ("admissionPolicy.actions", [], "minItems"),
        ("admissionPolicy.actions", ["Deny", "Warn"], "'not' failed"),
        ("admissionPolicy.actions", ["deny"], "must be one of"),
        ("tolerations", {"key": "k"}, "want array"),
        ("affinity", [], "want object"),
        ("extraEnv", {"A": "b"}, "want array"),
        ("extraEnv", [{"name": "A", "val": "b"}], "additional properties 'val' not allowed"),
        ("extraEnv", [{"value": "b"}], "missing property 'name'"),
        ("extraVolumeMounts", [{"name": "a"}], "missing property 'mountPath'"),
        ("dnsPolicy", "Never", "must be one of"),
        ("fullnameOverride", "a" * 53, "maxLength"),
        ("nameOverride", "Upper", "does not match pattern"),
    ],
)
def test_bad_value_is_refused_with_its_path(path: str, value: object, message: str) -> None:
    with pytest.raises(RenderError) as refused:
        render(set_path(path, value))
    text = str(refused.value)
    assert message in text
    assert path.split(".", maxsplit=1)[0] in text


def test_globals_of_an_umbrella_chart_are_let_through() -> None:
    assert render({"global": {"storageClass": "fast"}}).objects
