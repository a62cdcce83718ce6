"""A vLLM without the HIPBMM kernel, and the bundled one given to it by the plugin that `payload` leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import TINY, TOKENS
from tests.compat.test_warm import prepared, run
from tests.kernel.pods import PodMaker, make_pod, node
from tests.ptpc import PTPC

from compat import environment, models
from compat.worker import Worker
from hipbmm_kernel.dispatch import kernel_plugin
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.answer import ImageLinear
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.pod import payload
from hipbmm_kernel.rows import gemm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["make_pod", "node"]

pytestmark = pytest.mark.timeout(900)

OLD = environment.WITHOUT_KERNEL


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `exec` adds to the server's environment."""
    home = tmp_path_factory.mktemp("home")
    payload.copy_program(home)
    path = environment.environment(OLD, cpu_tensors=True)["PYTHONPATH"]
    return kernel_plugin.environment({"PYTHONPATH": path}, str(home / "kernel"))


@pytest.fixture(scope="module")
def plugged(variables: dict[str, str]) -> Iterator[Worker]:
    worker = Worker(OLD, cpu_tensors=True, more=variables)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[Worker]:
    worker = Worker(OLD, cpu_tensors=True)
    yield worker
    worker.close()


def model(folder: Path, **changes: Any) -> str:  # noqa: ANN401 - JSON
    config = {**TINY, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "quantization_config": PTPC}
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return str(folder)


def kernels(worker: Worker, folder: str) -> set[tuple[int, str]]:
    answer = worker.run("ask", folder)
    assert "refused" not in answer, answer
    return {(linear.k, linear.kernel) for linear in (ImageLinear(*fields) for fields in answer["linears"])}


def test_the_plugin_puts_the_bundled_kernel_first(plugged: Worker, plain: Worker, tmp_path: Path) -> None:
    folder = model(tmp_path)
    assert {kernel for _, kernel in kernels(plugged, folder)} == {HIPBMM}
    assert HIPBMM not in {kernel for _, kernel in kernels(plain, folder)}


def test_a_linear_that_aiter_cannot_shuffle_goes_to_the_next_kernel(plugged: Worker, tmp_path: Path) -> None:
    found = kernels(plugged, model(tmp_path, intermediate_size=528))
    assert {k for k, kernel in found if kernel == HIPBMM} == {256}
    assert {k for k, kernel in found if kernel != HIPBMM} == {528}


def test_rows_asked_for_are_rows_planned(plugged: Worker, tmp_path: Path) -> None:
    folder = model(tmp_path)
    lines = plugged.run("rows", TOKENS, folder)
    assert lines[0] == gemm.HEADER
    asked = sorted(",".join(line.split(",")[: gemm.KEY_COLUMNS]) for line in lines[1:])
    made = plan.build((tmp_path / "config.json").read_bytes(), Options(has_kernel=True, tokens=tuple(TOKENS)))
    assert asked == sorted(gemm.key_of(problem) for problem in made.problems)
    assert asked


@pytest.mark.parametrize("switch", environment.CONTRACT)
def test_a_switch_turned_off_leaves_the_server_as_it_was(switch: str, plugged: Worker, tmp_path: Path) -> None:
    assert plugged.run("rows", TOKENS, model(tmp_path), env={switch: "0"}) == []


def test_a_pod_of_an_older_image_plans_with_the_plugin_and_says_why_without(make_pod: PodMaker, tmp_path: Path) -> None:
    folder = models.write("SeedOssForCausalLM", tmp_path)
    with_plugin, without = (prepared(make_pod, name, folder, OLD) for name in "ab")
    with_plugin.env["HIPBMM_PLUGIN"] = "1"
    payload.copy_program(with_plugin.home)
    report, _ = run(with_plugin)
    assert report["plan"]["source"] == "Image", report["notes"]
    assert report["problems"] > 0
    report, _ = run(without)
    assert (report["reason"], report["problems"]) == ("NoEligibleLinears", 0)
    served = with_plugin.run("exec", "--", "sh", "-c", "echo $HIPBMM_KERNEL_PLUGIN; echo $PYTHONPATH")
    assert served.stdout.splitlines()[0] == "1"
    assert served.stdout.splitlines()[1].endswith(f":{with_plugin.home}/kernel")
