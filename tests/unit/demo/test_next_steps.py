"""What the demo prints at its end can be done where it says so."""

import pytest
import yaml

from demo import install, next_steps
from demo.cluster import Cluster
from demo.kubectl import Kubectl


def cluster(device_plugin_dir: str | None) -> Cluster:
    kubectl = Kubectl("/tools/a/kubectl", "/state/kubeconfig")
    return Cluster(
        kubectl, "/tools/b/helm", "registry.example/operator:1", "registry.example/vllm:1", device_plugin_dir
    )


@pytest.mark.parametrize("device_plugin_dir", [None, "/plugins"])
def test_what_is_applied_again_is_what_the_demo_applied(device_plugin_dir: str | None) -> None:
    found = cluster(device_plugin_dir)
    name, text = install.manifest(found)
    config, resource = yaml.safe_load_all(text)
    original_config, original = yaml.safe_load_all(install.EXAMPLE.read_text())
    assert config == original_config
    assert resource["metadata"]["name"] == name
    assert resource["spec"] == original["spec"] | {
        "image": "registry.example/vllm:1",
        **({"server": {"env": [{"name": "HIPBMM_PROBLEM_SECONDS", "value": "600"}]}} if device_plugin_dir else {}),
    }
    assert f"-f {next_steps.MANIFEST}" in next_steps.text(found, "demo")
    assert "examples/qwen3-32b.yaml with image registry.example/vllm:1" in next_steps.text(found, "demo")


def test_the_tools_of_the_demo_come_first_on_the_path() -> None:
    assert "PATH=/tools/a:/tools/b:$PATH" in next_steps.text(cluster("/plugins"), "demo")


def test_only_a_cluster_that_the_demo_made_is_taken_down() -> None:
    assert "make cluster-down" in next_steps.text(cluster("/plugins"), "demo")
    own = next_steps.text(cluster(None), "demo")
    assert "make cluster-down" not in own
    assert "kubectl delete namespace demo" in own
