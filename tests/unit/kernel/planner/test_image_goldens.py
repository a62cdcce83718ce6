"""The built-in planner against the answers of real vLLM (`make goldens`): it is right, or says that it is not sure."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from compat.models import PTPC
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.answer import ImageLinear
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options, Plan

FILES = sorted((Path(__file__).parents[3] / "golden" / "image").glob("*.json"))
CASES = [pytest.param(path, size, id=f"{path.stem}-{size}") for path in FILES for size in (1, 8)]

Shapes = Counter[tuple[int, int, bool]]


@functools.cache
def golden(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def of_vllm(answer: dict[str, Any]) -> tuple[Shapes, Shapes]:
    """The linears of the language model that reach HIPBMM, and all that end vLLM as it loads."""
    linears = [ImageLinear(*fields) for fields in answer["linears"]]
    chosen = [linear for linear in linears if linear.hipbmm]
    found, fatal = Shapes(), Shapes()
    for linear in chosen:
        if linear.k % 32:
            fatal[linear.n, linear.k, linear.bias] += linear.copies
        elif not linear.tower:
            found[linear.n, linear.k, linear.bias] += linear.copies
    return found, fatal


def of_plan(made: Plan) -> tuple[Shapes, Shapes]:
    found, fatal = Shapes(), Shapes()
    for each in made.linears:
        linear = each.linear
        if each.fatal:
            fatal[linear.n, linear.k, linear.bias] += linear.copies
        elif each.eligible:
            found[linear.n, linear.k, linear.bias] += linear.copies
    return found, fatal


def built(path: Path, size: int) -> Plan | None:
    """The built-in plan; None when the config cannot be planned with so many ranks."""
    config = {**golden(path)["config"], "quantization_config": PTPC}
    try:
        return plan.build(json.dumps(config).encode(), Options(size))
    except ConfigInvalid:
        return None


@pytest.mark.parametrize(("path", "size"), CASES)
def test_a_plan_is_that_of_vllm_or_says_that_it_is_none(path: Path, size: int) -> None:
    answer, made = golden(path)["answers"][str(size)], built(path, size)
    if "refused" in answer or made is None or made.source == plan.UNKNOWN:
        return
    found, fatal = of_vllm(answer)
    assert of_plan(made)[0] == found
    if not made.unsure:
        assert of_plan(made)[1] == fatal


@pytest.mark.parametrize("path", [path for path in FILES if "answers" in golden(path)])
def test_what_is_not_known_is_not_called_compatible(path: Path) -> None:
    from hipbmm_kernel.planner import plan_text  # noqa: PLC0415 - of this test alone

    made = built(path, 1)
    if made is not None and made.source == plan.UNKNOWN:
        assert plan_text.document(made)["compatible"] is None
        assert made.reason == "UnknownArchitecture"


def test_there_are_goldens_of_many_architectures() -> None:
    assert len(FILES) >= 60
