"""Each example is accepted by a real API server with the generated CRD, and says what its comments say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.chart.tools import EXAMPLES, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chart.cluster import Cluster

pytestmark = pytest.mark.timeout(1800)

FILES = sorted(EXAMPLES.glob("*.yaml"))
CRD_FILES = sorted((ROOT / "crds").glob("*.yaml"))
CRDS = ("hipbmmdeployments.hipbmm.io", "hipbmmprofiles.hipbmm.io")


def documents(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    for file in CRD_FILES:
        cluster.apply(file.read_text())
    for crd in CRDS:
        cluster.established(crd)
    yield cluster.namespace("examples")
    cluster.kubectl("delete", "crd", *CRDS)
    cluster.kubectl("delete", "namespace", "examples", "--wait=false")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_example_is_accepted(cluster: Cluster, namespace: str, path: Path) -> None:
    arguments = ["create", "-f", str(path), "-n", namespace, "--dry-run=server", "--validate=strict", "-o", "yaml"]
    accepted = [item for item in yaml.safe_load_all(cluster.kubectl(*arguments)) if item]
    for asked, stored in zip(documents(path), accepted, strict=True):
        if asked["kind"] in ("HipbmmDeployment", "HipbmmProfile"):
            # Nothing is pruned: every field of the example exists. The API server adds defaults of its own.
            assert subset(asked["spec"], stored["spec"])


def subset(asked: Any, stored: Any) -> bool:  # noqa: ANN401 (JSON values)
    if isinstance(asked, dict):
        return all(name in stored and subset(value, stored[name]) for name, value in asked.items())
    return bool(asked == stored)


def test_examples_have_no_namespace_and_pinned_images() -> None:
    for path in FILES:
        for item in documents(path):
            assert "namespace" not in item["metadata"], path.name
            if item["kind"] == "HipbmmDeployment":
                assert not item["spec"]["image"].endswith(":latest")
                assert ":" in item["spec"]["image"]


def test_demo_config_is_that_of_qwen3_32b_with_fp8_per_channel_and_token() -> None:
    config_map, deployment = documents(EXAMPLES / "qwen3-32b.yaml")
    config = json.loads(config_map["data"]["config.json"])
    assert deployment["spec"]["model"]["configMapRef"]["name"] == config_map["metadata"]["name"]
    assert deployment["spec"]["replicas"] == 2
    shape = {
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": 5120,
        "intermediate_size": 25600,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_hidden_layers": 64,
        "vocab_size": 151936,
    }
    assert {name: config[name] for name in shape} == shape
    quantization = config["quantization_config"]
    (group,) = quantization["config_groups"].values()
    assert (quantization["quant_method"], quantization["ignore"]) == ("compressed-tensors", ["lm_head"])
    assert (group["weights"]["strategy"], group["weights"]["type"], group["weights"]["num_bits"]) == (
        "channel",
        "float",
        8,
    )
    activations = group["input_activations"]
    assert (activations["strategy"], activations["dynamic"]) == ("token", True)


def test_autoscaler_scales_a_deployment_of_the_examples() -> None:
    (scaler,) = documents(EXAMPLES / "hpa.yaml")
    names = {
        item["metadata"]["name"] for path in FILES for item in documents(path) if item["kind"] == "HipbmmDeployment"
    }
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == ("hipbmm.io/v1alpha1", "HipbmmDeployment")
    assert target["name"] in names
