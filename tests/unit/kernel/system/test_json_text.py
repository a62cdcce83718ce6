"""JSON of somebody else: whatever is parsed can be shown and written again, and who reads it ends in its own error."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.mi300x import STACK

from hipbmm_kernel.contract import report
from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.image import kept_plan
from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import AnswerInvalid
from hipbmm_kernel.pod import dispatch_decision
from hipbmm_kernel.store import plans
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system.digest import canonical
from hipbmm_kernel.system.volume import Volume

KEY = "0123456789abcdef"
DEPTHS = [json_text.MAX_DEPTH, json_text.MAX_DEPTH + 1, 300, *range(900, 1001, 4), 5000, 20_000, 100_000]
"""Python's own limits are near 1,000, another one for each that parses, shows and writes, and higher in newer ones."""


def nested(depth: int) -> list[str]:
    return [
        "[" * depth + "]" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        '[{"\\"[":' * (depth // 2) + "1" + "}]" * (depth // 2),
    ]


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_is_parsed_can_be_shown_and_written(depth: int) -> None:
    for text in nested(depth):
        try:
            found = json_text.parsed(text.encode())
        except ValueError:
            assert depth > json_text.MAX_DEPTH
        else:
            assert json.loads(canonical(found)) == found
            assert repr(found)


@pytest.mark.parametrize(
    "text", ["{}", '["[[[["]', '{"a\\\\":"}]"}', '"' + "[" * 500 + '"', "[]" + " " * 50, "[" + "[]," * 500 + "1]"]
)
def test_brackets_in_texts_and_beside_each_other_nest_nothing(text: str) -> None:
    assert json_text.parsed(text.encode()) == json.loads(text)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x00", "{}".encode("utf-16"), b"[", b"{}x"])
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of any class: the readers below name it
        json_text.parsed(data)


def a_stack(text: str) -> object:
    document = {**STACK.document(), "databases": ["@"], "environment": {"A": "@"}}
    return stacks.parse(json.dumps(document).replace('"@"', text).encode())


READERS: dict[str, tuple[Callable[[str], object], type[Exception]]] = {
    "a plan": (
        lambda text: kept_plan.decode(KEY, f'{{"hipbmm-plan":1,"key":"{KEY}","plan":{text}}}'.encode()),
        ValueError,
    ),
    "an answer": (lambda text: answer.decode(text.encode()), AnswerInvalid),
    "an answer about memory": (
        lambda text: dispatch_decision.decode(KEY, f'{{"hipbmm-dispatch-check":1,"key":"{KEY}","x":{text}}}'.encode()),
        ValueError,
    ),
    "a file beside the shards": (lambda text: plans.document(KEY, text.encode()), ValueError),
    "a stack": (a_stack, stacks.StackError),
}


@pytest.mark.parametrize(("read", "error"), READERS.values(), ids=READERS.keys())
def test_every_reader_ends_in_its_own_error(read: Callable[[str], object], error: type[Exception]) -> None:
    for text in (each for depth in DEPTHS for each in nested(depth)):
        try:
            read(text)
        except error:
            continue


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_report_that_cannot_be_shown_is_none(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "report.json"
    for text in nested(depth):
        path.write_text(f'{{"reason":{text}}}')
        found, _ = report.read(Volume(), str(path))
        assert canonical(found)
        assert repr(found)
