"""An answer as JSON: what was written is read back, and what is no answer is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid, ImageLinear

ANSWER = Answer(
    vllm="0.33.0",
    architecture="Qwen3ForCausalLM",
    quantisation="compressed-tensors",
    linears=(ImageLinear("model.layers.0.mlp.down_proj", 5120, 12800, False, 64, HIPBMM, "", False, 0),),
    captured=(1, 2, 4),
    planned=(1, 2, 4, 5),
    eager=(5,),
    notes=("a note",),
)


def test_what_is_encoded_is_decoded() -> None:
    assert answer.decode(answer.encode(ANSWER)) == ANSWER
    assert ANSWER.linears[0].hipbmm


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"planned": [2, 1]},
        {"planned": [0]},
        {"captured": [True]},
        {"linears": [["x", 1, 2]]},
        {"linears": [["x", 0, 2, False, 1, "", "", False, 0]]},
        {"linears": [["x" * 500, 1, 2, False, 1, "", "", False, 0]]},
        {"linears": {}},
        {"vllm": None},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(answer.encode(ANSWER)) | change
    with pytest.raises(AnswerInvalid):
        answer.decode(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b" " * (answer.MAX_BYTES + 1), b"\xff"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerInvalid):
        answer.decode(data)
