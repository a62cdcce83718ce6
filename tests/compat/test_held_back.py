"""Architectures without a golden: the oracle is right about them, and the built-in planner is, or says that it is not.

What vLLM accepts is compared; what it refuses, both of the ways to build a model refuse.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import EXPORT
from tests.ptpc import PTPC
from tests.unit.kernel.configs import QUARK
from tests.unit.kernel.planner.test_image_goldens import of_plan, of_vllm

from compat import held_back
from compat.worker import JobFailed, Worker
from hipbmm_kernel.planner import plan, plan_text, vllm_version
from hipbmm_kernel.planner.answer import ImageLinear
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
PLANS: list[tuple[dict[str, Any], int]] = [({**QUARK, "export": EXPORT}, 2), (PTPC, 8), (BLOCKS, 2), (PTPC, 4)]
OTHERS = [
    pytest.param(architecture, *made, id=f"{architecture}-{made[0]['quant_method']}-{made[1]}")
    for at, architecture in enumerate(list(held_back.ARCHITECTURES)[::2])
    for made in (PLANS[at % len(PLANS)],)
]
OLDER = [
    "CLIPModel",
    "DeepseekV2ForCausalLM",
    "ExaoneForCausalLM",
    "FalconForCausalLM",
    "GPTNeoXForCausalLM",
    "InternLM2ForCausalLM",
    "LlavaNextForConditionalGeneration",
    "Mamba2ForCausalLM",
    "OrionForCausalLM",
    "PhiMoEForCausalLM",
    "Qwen2AudioForConditionalGeneration",
    "SolarForCausalLM",
]


def accepted(worker: Worker, job: str, *arguments: str) -> Any | None:  # noqa: ANN401 - JSON
    """What a job finds out about a server; None where vLLM raises."""
    try:
        answer = worker.run(job, *arguments)
    except JobFailed:
        return None
    return None if "refused" in answer else answer


def compared(worker: Worker, folder: Path, ranks: int) -> bool:
    """Whether vLLM accepts the model. Then the oracle and the built-in planner are right about it."""
    arguments = (str(folder), "-tp", str(ranks))
    answer, recorded = accepted(worker, "ask", *arguments), accepted(worker, "record", *arguments)
    assert (answer is None) == (recorded is None)
    if answer is None:
        return False
    counted: Counter[tuple[int, int]] = Counter()
    for linear in (ImageLinear(*fields) for fields in answer["linears"]):
        if linear.hipbmm:
            counted[linear.n, linear.k] += linear.copies
    assert sorted([n, k, copies] for (n, k), copies in counted.items()) == recorded
    of_builtin((folder / "config.json").read_bytes(), ranks, worker.version, answer)
    return True


def of_builtin(config: bytes, ranks: int, version: str, answer: dict[str, Any]) -> None:
    """The built-in plan is that of vLLM, or says that it is none."""
    try:
        made = plan.build(config, Options(ranks, vllm_version.parse(version) or vllm_version.NEWEST))
    except ConfigInvalid:
        return
    if made.source == plan.UNKNOWN:
        assert plan_text.document(made)["compatible"] is None
        return
    found, fatal = of_vllm(answer)
    assert of_plan(made)[0] == found
    if not made.unsure:
        assert of_plan(made)[1] == fatal


@pytest.mark.parametrize("architecture", held_back.ARCHITECTURES)
def test_an_architecture_that_nobody_has_tried(architecture: str, newest: Worker, tmp_path: Path) -> None:
    assert compared(newest, held_back.write(architecture, tmp_path, PTPC), 1), "vLLM accepts it"


@pytest.mark.parametrize(("architecture", "quantisation", "ranks"), OTHERS)
def test_other_ranks_and_formats(
    architecture: str, quantisation: dict[str, Any], ranks: int, newest: Worker, tmp_path: Path
) -> None:
    if not compared(newest, held_back.write(architecture, tmp_path, quantisation), ranks):
        pytest.skip("vLLM refuses it")


@pytest.mark.parametrize("version", ["0.23.0", "0.28.0", "0.30.0"])
@pytest.mark.parametrize("architecture", OLDER)
def test_older_versions(version: str, architecture: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    if not compared(workers[version], held_back.write(architecture, tmp_path, PTPC), 1):
        pytest.skip("vLLM refuses it")
