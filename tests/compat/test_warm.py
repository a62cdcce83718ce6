"""`warm` in a simulated pod whose image has real vLLM: the first pod asks, the second one knows."""

from __future__ import annotations

import base64
import json
import resource
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.kernel.pods import PodMaker, make_pod, node

from compat import environment, models
from hipbmm_operator.mirror import shards as mirror_shards
from hipbmm_operator.mirror.content import Content

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_pod", "node"]

pytestmark = pytest.mark.timeout(900)


def prepared(make_pod: PodMaker, name: str, model: Path, version: str, *arguments: str) -> Any:  # noqa: ANN401 - a Pod
    pod = make_pod(name)
    for variable, value in environment.environment(version).items():
        if variable not in ("HIPBMM_SYSFS", "HIPBMM_DEV"):
            pod.env[variable] = value
    del pod.env["HIPBMM_TOKENS"], pod.env["HIPBMM_MODEL_CONFIG"]
    pod.env |= {
        "HIPBMM_MODEL": str(model),
        "HIPBMM_SERVER_ARGS": json.dumps(arguments),
        "HIPBMM_TUNE": "0",
    }
    return pod


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(pod: Any) -> tuple[dict[str, Any], float]:  # noqa: ANN401 - a Pod
    before = spent()
    done = pod.run("warm")
    assert done.returncode == 0, done.stderr
    return pod.report, spent() - before


@pytest.mark.parametrize("version", [each for each in environment.versions() if each != environment.WITHOUT_KERNEL])
def test_one_pod_asks_the_image_and_the_others_know(make_pod: PodMaker, tmp_path: Path, version: str) -> None:
    model = models.write("SeedOssForCausalLM", tmp_path)
    first, asking = run(prepared(make_pod, "a", model, version, "-tp", "1", "--max-num-seqs", "64"))
    assert first["plan"]["source"] == "Image", first["notes"]
    assert first["problems"] > 0
    assert first["torchImported"] is False
    assert len(list((tmp_path / "store" / "v1" / "plans").iterdir())) == 1
    second, knowing = run(prepared(make_pod, "b", model, version, "-tp", "1", "--max-num-seqs", "64"))
    assert (second["plan"], second["problems"]) == (first["plan"], first["problems"])
    assert asking < 25.0
    assert knowing < 1.0, "no child"
    other, _ = run(prepared(make_pod, "c", model, version, "-tp", "1", "--max-num-seqs", "32"))
    assert other["problems"] != first["problems"]
    assert len(list((tmp_path / "store" / "v1" / "plans").iterdir())) == 2


def test_a_mirror_carries_the_plan_to_a_pod_without_a_shared_store(make_pod: PodMaker, tmp_path: Path) -> None:
    model = models.write("SeedOssForCausalLM", tmp_path)
    pods = [prepared(make_pod, name, model, environment.NEWEST) for name in "ab"]
    for pod in pods:
        store = pod.root / "own-store"
        store.mkdir()
        pod.env |= {"HIPBMM_STORE": str(store), "HIPBMM_MIRROR_LOG": "1", "HIPBMM_MIRRORS": str(tmp_path / "mirror")}
    (tmp_path / "mirror").mkdir()
    done = pods[0].run("warm")
    asked = pods[0].report
    found, problems = mirror_shards.in_log(done.stderr, asked["mirror"]["shards"])
    assert problems == []
    for key, packed in Content().joined(found).binary().items():
        (tmp_path / "mirror" / key).write_bytes(base64.b64decode(packed))
    knows, seconds = run(pods[1])
    assert (knows["plan"], knows["problems"]) == (asked["plan"], asked["problems"])
    assert seconds < 1.0, "no child"
    assert knows["mirror"]["shards"] == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('remote code')", "remote code"),
        ("import os; os.write(1, b'{}'); os._exit(3)", "died of exit(3)"),
        ("import os; os.fork(); raise RuntimeError('remote code')", "remote code"),
    ],
    ids=["raises", "exits", "forks"],
)
def test_remote_code_that_fails_leaves_the_built_in_plan(
    make_pod: PodMaker, tmp_path: Path, code: str, words: str
) -> None:
    model = models.write("LlamaForCausalLM", tmp_path)
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_own.OwnConfig"}
    config["model_type"] = "own"
    (model / "config.json").write_text(json.dumps(config))
    (model / "configuration_own.py").write_text(f"{code}\n")
    report, _ = run(prepared(make_pod, "a", model, environment.NEWEST, "--trust-remote-code"))
    assert report["plan"]["source"] == "Config"
    assert any(words in note for note in report["notes"]), report["notes"]


def test_a_home_that_cannot_be_written_changes_nothing(make_pod: PodMaker, tmp_path: Path) -> None:
    pod = prepared(make_pod, "a", models.write("LlamaForCausalLM", tmp_path), environment.NEWEST)
    pod.env |= {"HOME": "/dev/null", "VLLM_CACHE_ROOT": "/dev/null/vllm"}
    report, _ = run(pod)
    assert report["plan"]["source"] == "Image", report["notes"]


def test_a_vllm_that_hangs_leaves_the_built_in_plan(make_pod: PodMaker, tmp_path: Path) -> None:
    model = models.write("LlamaForCausalLM", tmp_path)
    pod = prepared(make_pod, "a", model, environment.NEWEST)
    (tmp_path / "hangs" / "torchvision").mkdir(parents=True)
    (tmp_path / "hangs" / "transformers").mkdir()
    (tmp_path / "hangs" / "transformers" / "__init__.py").write_text("import threading; threading.Event().wait()\n")
    pod.env["PYTHONPATH"] = f"{tmp_path / 'hangs'}:{pod.env['PYTHONPATH']}"
    pod.env["HIPBMM_IMAGE_SECONDS"] = "8"
    began = time.monotonic()
    report, _ = run(pod)
    assert time.monotonic() - began < 60
    assert report["plan"]["source"] == "Config"
    assert any("in time" in note for note in report["notes"])
