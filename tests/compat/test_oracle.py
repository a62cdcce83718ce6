"""The oracle's linears are those for which vLLM makes its HIPBMM kernel, in many architectures and three versions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from compat import models
from compat.worker import JobFailed, Worker
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner.answer import ImageLinear

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

OLDER = ("DeepseekV3ForCausalLM", "Gemma3ForConditionalGeneration", "LlamaForCausalLM", "Qwen3MoeForCausalLM")


def of_oracle(worker: Worker, *arguments: str) -> list[list[int]]:
    answer = worker.run("ask", *arguments)
    assert "refused" not in answer, answer
    counted: Counter[tuple[int, int]] = Counter()
    for linear in (ImageLinear(*fields) for fields in answer["linears"]):
        if linear.kernel == HIPBMM:
            counted[linear.n, linear.k] += linear.copies
    return sorted([n, k, copies] for (n, k), copies in counted.items())


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_linears_are_those_vllm_makes_its_kernel_for(architecture: str, newest: Worker, tmp_path: Path) -> None:
    folder = str(models.write(architecture, tmp_path))
    assert of_oracle(newest, folder, "-tp", "2") == newest.run("record", folder, "-tp", "2")


@pytest.mark.parametrize("version", ["0.23.0", "0.28.0", "0.30.0"])
@pytest.mark.parametrize("architecture", OLDER)
def test_older_versions_answer_the_same_questions(
    version: str, architecture: str, workers: dict[str, Worker], tmp_path: Path
) -> None:
    folder, worker = str(models.write(architecture, tmp_path)), workers[version]
    assert of_oracle(worker, folder, "-tp", "4") == worker.run("record", folder, "-tp", "4")


@pytest.mark.parametrize("version", ["0.23.0", "0.28.0", "0.30.0", "0.33.0"])
def test_what_an_encoder_makes_is_no_token(version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    """The encoder runs once for each request, and so does the projection of its states; the rest sees tokens."""
    answer = workers[version].run("ask", str(models.write("WhisperForConditionalGeneration", tmp_path)))
    linears = [ImageLinear(*fields) for fields in answer["linears"]]
    assert all(linear.hipbmm for linear in linears)
    tokens = {linear.path.removeprefix("model.decoder.layers.0.") for linear in linears if not linear.tower}
    cross = {f"encoder_attn.{name}" for name in ("q_proj", "out_proj")}
    assert tokens == {"self_attn.qkv_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", *cross}
    assert answer["eager"] == answer["planned"] == [*range(1, 513)], "vLLM captures none on ROCm"


def test_a_server_that_vllm_refuses_is_refused(newest: Worker, tmp_path: Path) -> None:
    folder = str(models.write("LlamaForCausalLM", tmp_path))
    assert "refused" in newest.run("ask", folder, "--max-num-seqs", "1k")


def test_a_job_that_raises_is_named(newest: Worker) -> None:
    with pytest.raises(JobFailed, match="AttributeError"):
        newest.run("no_such_job")
