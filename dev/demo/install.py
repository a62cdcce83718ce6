"""What the demo puts into the cluster: the simulated node's device plugin, the operator by Helm, and the example."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from demo import wait
from demo.cluster import Cluster
from demo.failure import DemoError
from demo.kubectl import Kubectl, environment
from localkube import images

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "hipbmm-operator"
EXAMPLE = ROOT / "examples" / "qwen3-32b.yaml"
SYSTEM = "hipbmm-system"
SIMULATED_GPUS = 8
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

Json = dict[str, Any]


def namespace(kubectl: Kubectl, name: str, labels: dict[str, str] | None = None) -> None:
    """Create or label a namespace."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})


def fresh_namespace(kubectl: Kubectl, name: str) -> None:
    """An empty namespace: what an earlier run left in it, its claim too, goes first."""
    kubectl.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", timeout=600)
    namespace(kubectl, name)


def simulated_gpus(cluster: Cluster) -> Json:
    """Run the simulator's device plugin and labeller; the node once it has 8 allocatable GPUs and its labels."""
    manifest = (ROOT / "dev" / "simulator" / "deploy" / "node.yaml").read_text()
    text = manifest.replace("@DEVICE_PLUGIN_DIR@", str(cluster.device_plugin_dir)).replace(
        "@IMAGE@", cluster.serving_image
    )
    cluster.kubectl.within("hipbmm-simulator").apply(text)

    def ready() -> Json | None:
        for node in cluster.kubectl.items("nodes"):
            gpus = int(node["status"].get("allocatable", {}).get("amd.com/gpu", "0"))
            if gpus == SIMULATED_GPUS and "amd.com/gpu.device-id" in node["metadata"]["labels"]:
                return node
        return None

    return wait.until("a node with 8 allocatable amd.com/gpu and AMD's labels", ready, 600)


def operator(cluster: Cluster) -> None:
    """`helm upgrade --install` into a namespace that enforces the restricted pod security standard."""
    kubectl = cluster.kubectl
    namespace(kubectl, SYSTEM, RESTRICTED)
    repository, _, tag = cluster.operator_image.rpartition(":")
    command = [
        cluster.helm, "upgrade", "--install", "hipbmm-operator", str(CHART),
        "--kubeconfig", kubectl.kubeconfig, "--namespace", SYSTEM,
        "--set", f"image.repository={repository}", "--set", f"image.tag={tag}", "--set", "injection.enabled=true",
        "--wait", "--timeout", "600s",
    ]  # fmt: skip
    if cluster.simulated:
        # Its tag is always the same: without this an operator of older sources would go on in a cluster that was up.
        command += ["--set-string", f"podAnnotations.content={images.content(images.named('operator'))}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        logs = kubectl.within(SYSTEM).attempt("describe", "pods").stdout
        raise DemoError("helm could not install the operator", done.stderr + logs)


class _Readable(yaml.SafeDumper):
    """Files in a ConfigMap as blocks of lines."""


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def manifest(cluster: Cluster) -> tuple[str, str]:
    """The name of the HipbmmDeployment of examples/qwen3-32b.yaml, and that file as this cluster can run it."""
    documents = [d for d in yaml.safe_load_all(EXAMPLE.read_text()) if d]
    name = ""
    for document in documents:
        if document["kind"] == "HipbmmDeployment":
            document["spec"]["image"] = cluster.serving_image
            if cluster.simulated:
                _allow_a_slow_gpu(document["spec"])
            name = str(document["metadata"]["name"])
        document["metadata"].pop("namespace", None)
    return name, yaml.dump_all(documents, Dumper=_Readable, sort_keys=False)


def example(cluster: Cluster, kubectl: Kubectl) -> str:
    """Apply the example as this cluster can run it; the name of its HipbmmDeployment."""
    name, text = manifest(cluster)
    kubectl.apply(text)
    return name


def _allow_a_slow_gpu(spec: Json) -> None:
    """A simulated GPU multiplies on the CPU: seconds, not microseconds, and minutes on a busy machine."""
    environment_of_server = spec.setdefault("server", {}).setdefault("env", [])
    environment_of_server.append({"name": "HIPBMM_PROBLEM_SECONDS", "value": "600"})
