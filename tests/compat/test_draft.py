"""The model that drafts is in the image's plan: the linears that vLLM builds for it alone, or for its head."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import TINY
from tests.ptpc import PTPC

from compat import models
from hipbmm_kernel.planner.answer import HIPBMM, ImageLinear

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compat.worker import Worker

pytestmark = pytest.mark.timeout(600)

VERSIONS = ("0.23.0", "0.28.0", "0.30.0", "0.33.0")
Found = list[tuple[int, int, int, str]]


def model(folder: Path, name: str, quantisation: Mapping[str, Any] | None = PTPC, **changes: Any) -> str:  # noqa: ANN401 - JSON
    config = {**TINY, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **changes}
    (folder / name).mkdir()
    named = config if quantisation is None else {**config, "quantization_config": quantisation}
    (folder / name / "config.json").write_text(json.dumps(named))
    return str(folder / name)


def asked(worker: Worker, *arguments: str) -> tuple[Found, Found]:
    """The linears of the target, and those of the draft."""
    answer = worker.run("ask", *arguments)
    assert "refused" not in answer, answer
    assert not [note for note in answer["notes"] if "draft" in note]
    linears = [ImageLinear(*fields) for fields in answer["linears"]]
    parts = [[each for each in linears if each.path.startswith("draft.") is draft] for draft in (False, True)]
    target, draft = ([(each.n, each.k, each.copies, each.kernel) for each in part] for part in parts)
    return target, draft


def speculation(**fields: object) -> list[str]:
    return ["--speculative-config", json.dumps({"num_speculative_tokens": 2, **fields})]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("quantisation", [PTPC, None], ids=["quantised", "plain"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_draft_models_linears_are_its_own(
    version: str, quantisation: Mapping[str, Any] | None, ranks: int, workers: dict[str, Worker], tmp_path: Path
) -> None:
    target = model(tmp_path, "target", hidden_size=1024, intermediate_size=2048)
    draft = model(tmp_path, "draft", quantisation)
    more = speculation(method="draft_model", model=draft, draft_tensor_parallel_size=ranks)
    worker = workers[version]
    assert asked(worker, target, "-tp", "2", *more) == (
        asked(worker, target, "-tp", "2")[0],
        asked(worker, draft, "-tp", str(ranks))[0],
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_linears_of_a_head_and_of_mtp_layers(version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    target = model(tmp_path, "target", hidden_size=1024, intermediate_size=2048)
    llama: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1}
    head = model(tmp_path, "head", hidden_size=1024, intermediate_size=2048, **llama)
    _, found = asked(workers[version], target, *speculation(method="eagle", model=head))
    assert (1024, 2048, 1, HIPBMM) in found, "fc, from hidden state and embedding"
    folder = models.write("DeepseekV3ForCausalLM", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4, "num_nextn_predict_layers": 1}))
    _, found = asked(workers[version], str(folder), "-tp", "8", *speculation(method="mtp", num_speculative_tokens=1))
    assert (7168, 2048, 1, HIPBMM) in found, "o_proj of the MTP layer"
