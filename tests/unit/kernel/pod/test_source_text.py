"""The program's source without its text for people: the same program, line by line."""

import ast
from pathlib import Path

import pytest

from hipbmm_kernel.pod import source_text

PACKAGE = Path(source_text.__file__).resolve().parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))


def program(source: bytes) -> list[tuple[str, int]]:
    """Every statement with its line, without strings that are statements."""
    tree = ast.parse(source)
    return [
        (ast.dump(node), node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and not _is_text(node)
    ]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_the_program_is_the_same(path: Path) -> None:
    source = path.read_bytes()
    made = source_text.stripped(source)
    assert program(made) == program(source)
    assert len(made.splitlines()) == len(source.splitlines())
    texts = [node for node in ast.walk(ast.parse(made)) if isinstance(node, ast.stmt) and _is_text(node)]
    assert {node.value.value for node in texts} <= {""}  # type: ignore[attr-defined]


def test_what_is_on_a_line_of_its_own_and_is_a_value_stays() -> None:
    source = b'x = (\n    "a"  # why\n    "b"\n)\n\n\ndef f():\n    """D."""\n    return """\n# no comment\n"""\n'
    made = source_text.stripped(source)
    assert made == b'x = (\n    "a"\n    "b"\n)\n\n\ndef f():\n    ""\n    return """\n# no comment\n"""\n'
