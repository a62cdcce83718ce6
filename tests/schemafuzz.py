"""Specs derived from the CRD's schema, valid and hostile ones; the same for the same seed."""

import copy
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
CRD = Path(__file__).resolve().parents[1] / "crds" / "hipbmm.io_hipbmmdeployments.yaml"

_OPTIONAL = 0.3
"""Share of the optional fields that a spec has, at the top; less further down."""
_MUTATED = 0.5
_BIG = 2**31 - 1
_WORDS = (
    *("a", "x1", "qwen", "team", "amd.com/gpu", "amd.com/cpx_nps4", "1Gi", "250m", "0.5", "16", "1e3", "/models/x"),
    *("/data", "In", "Exists", "NoSchedule", "A_B", "registry.example/vllm:1", "--enforce-eager", "status.podIP"),
    *("limits.cpu", "kubernetes.io/hostname", "2026-11", "http", "10%", "RuntimeDefault", "cuda", "HF_TOKEN"),
)
_HOSTILE: tuple[Any, ...] = (
    *(None, -1, 0, 1.5, _BIG, _BIG + 1, 2**63, 1e308, True, "", " ", "NaN", "None", "null", "-1", "16", "1Gi", "1Z"),
    *(
        "a" * 300,
        "A" * 70_000,
        "../../etc/passwd",
        "$(id)",
        "; rm -rf /",
        "--host",
        "ü\u202e\U0001f600",
        "a\nb",
        "a\0b",
    ),
    *([], {}, [[]], [None], [{}], [{"name": "server"}], {"": ""}, {"a": None}, ["x"] * 5000, {"x": {"y": {"z": {}}}}),
)


def spec_schema() -> Json:
    """The schema of `spec`."""
    crd = yaml.safe_load(CRD.read_text())
    schema: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def specs(seed: int) -> Iterator[Json]:
    """Endless specs; about half of them have parts that the schema does not allow."""
    rng, schema = random.Random(seed), spec_schema()
    while True:
        spec = _value(schema, rng, _OPTIONAL)
        if rng.random() < _MUTATED:
            for _ in range(rng.randint(1, 3)):
                _mutate(spec, rng)
        yield spec


def _value(schema: Json, rng: random.Random, share: float) -> Any:  # noqa: ANN401  # any JSON
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, rng, share)
    if kind == "array":
        low, high = schema.get("minItems", 0), min(schema.get("maxItems", 3), 3)
        return [_value(schema["items"], rng, share * 0.8) for _ in range(rng.randint(low, max(low, high)))]
    return _scalar(schema, rng)


def _scalar(schema: Json, rng: random.Random) -> Any:  # noqa: ANN401  # any JSON
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice([1, "1", "250m", "8Gi"])
    kind = schema.get("type")
    if kind == "integer":
        low, high = int(schema.get("minimum", 0)), int(schema.get("maximum", _BIG))
        return rng.choice([low, high, rng.randint(low, high), min(high, low + rng.randint(0, 8))])
    if kind == "boolean":
        return rng.random() < 0.5
    return _text(schema, rng)


def _object(schema: Json, rng: random.Random, share: float) -> Json:
    required = schema.get("required", [])
    found = {
        name: _value(inner, rng, share * 0.8)
        for name, inner in schema.get("properties", {}).items()
        if name in required or rng.random() < share
    }
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        found |= {rng.choice(_WORDS): _value(more, rng, share) for _ in range(rng.randint(0, 2))}
    return found


def _text(schema: Json, rng: random.Random) -> str:
    """A string that the schema allows: a word, or for the few patterns that no word fits one letter."""
    fitting = [
        word
        for word in _WORDS
        if schema.get("minLength", 0) <= len(word) <= schema.get("maxLength", _BIG)
        and ("pattern" not in schema or re.search(schema["pattern"], word))
    ]
    return rng.choice(fitting or ["a"])


def _mutate(spec: Json, rng: random.Random) -> None:
    """Put something hostile at a random place: instead of a value, or under a name that nobody knows."""
    places = list(_places(spec))
    holder, key = rng.choice(places)
    hostile = copy.deepcopy(rng.choice(_HOSTILE))
    if rng.random() < 0.1 and isinstance(holder, dict):
        holder[rng.choice(["unknown", "hostNetwork", "serviceAccountName", "__class__", ""])] = hostile
    elif rng.random() < 0.1 and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = hostile


def _places(node: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield node, key
        yield from _places(inner)
