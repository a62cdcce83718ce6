"""Bodies of the API are read at the edge only: no other room digs in nested dictionaries that may be absent."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

OPERATOR = Path(__file__).resolve().parents[3] / "operator" / "hipbmm_operator"
EDGE = ("kube", "observe", "detect/sources")
"""Rooms that parse what the API server sends."""
INNER = [
    path for path in sorted(OPERATOR.rglob("*.py")) if not any(path.is_relative_to(OPERATOR / room) for room in EDGE)
]


def chains(source: str) -> Iterator[int]:
    """Lines with `.get(key) or {}`, or with a lookup in the answer of `.get(key, {})`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BoolOp) and any(map(_is_empty, node.values)) and any(map(_is_get, node.values)):
            yield node.lineno
        if isinstance(node, ast.Attribute | ast.Subscript) and _is_defaulted(node.value):
            yield node.lineno


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, ast.Dict | ast.List) and not ast.unparse(node)[1:-1]


def _is_get(node: ast.expr) -> bool:
    """Of a key: a ContextVar has none."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".get") and bool(node.args)


def _is_defaulted(node: ast.expr) -> bool:
    """Whether this is a `.get(key, {})`."""
    return isinstance(node, ast.Call) and _is_get(node) and any(map(_is_empty, node.args[1:]))


@pytest.mark.parametrize(
    "source",
    [
        'body.get("metadata") or {}',
        '(body.get("status") or {}).get("phase")',
        'for entry in status.get("conditions") or []: pass',
        'body.get("metadata", {}).get("name")',
        'body.get("metadata", {})["name"]',
        'next(iter(body.get("spec") or {}))',
    ],
)
def test_a_chain_is_found(source: str) -> None:
    assert list(chains(source)) == [1]


@pytest.mark.parametrize(
    "source", ["found.get(key)", "x or ()", "known.get(kind, {})", "found or [1]", "HELD.get() or {}"]
)
def test_a_plain_lookup_is_no_chain(source: str) -> None:
    assert list(chains(source)) == []


def test_no_room_but_the_edge_digs_in_bodies() -> None:
    found = [f"{path.relative_to(OPERATOR)}:{line}" for path in INNER for line in chains(path.read_text())]
    assert found == []
