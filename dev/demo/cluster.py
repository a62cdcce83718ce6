"""Which cluster the demo runs on: the user's own (`KUBECONFIG`), or one that localkube makes on this machine."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from demo.failure import DemoError
from demo.kubectl import Kubectl
from localkube.paths import Layout

NO_CLUSTER = """\
The demo needs a Kubernetes cluster and found none that it may use:
  * KUBECONFIG is not set, and
  * this user is not root, so a one-node cluster (kubelet, containerd) cannot be made here.
Ways out:
  1. sudo make demo                              makes a private one-node cluster; `make cluster-down` removes it
  2. KUBECONFIG=~/.kube/config make demo         uses your cluster; name images that it can pull:
       HIPBMM_OPERATOR_IMAGE=registry/hipbmm-operator:tag HIPBMM_SERVING_IMAGE=vllm/vllm-openai-rocm:v0.23.0
  3. make unit                                   needs neither root nor a cluster
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with the tools to reach it. `device_plugin_dir` is None when the cluster is the user's own."""

    kubectl: Kubectl
    helm: str
    operator_image: str
    serving_image: str
    device_plugin_dir: str | None

    @property
    def simulated(self) -> bool:
        """Whether its GPUs come from the simulator."""
        return self.device_plugin_dir is not None


def localkube(*args: str, show: bool = True) -> str:
    """Run a localkube command; its standard output (its progress goes to ours)."""
    done = subprocess.run(
        [sys.executable, "-m", "localkube", *args],
        stdout=None if show else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"localkube {' '.join(args)} ended with {done.returncode}; its own lines above say why")
    return done.stdout or ""


def choose(name: str) -> Cluster:
    """The user's cluster when KUBECONFIG is set, else our own instance `name`, brought up with its images loaded."""
    kubeconfig = os.environ.get("KUBECONFIG")
    # A shell in which an earlier demo's last words were followed points to our own instance.
    if kubeconfig and kubeconfig != str(Layout.of(name).kubeconfig):
        return _existing(kubeconfig)
    if os.geteuid() != 0:
        raise DemoError(NO_CLUSTER)
    return own(name)


def _existing(kubeconfig: str) -> Cluster:
    missing = [name for name in ("HIPBMM_OPERATOR_IMAGE", "HIPBMM_SERVING_IMAGE") if not os.environ.get(name)]
    if missing:
        raise DemoError(f"with KUBECONFIG set, {' and '.join(missing)} must name images that the cluster can pull")
    tools = {tool: shutil.which(tool) for tool in ("kubectl", "helm")}
    for tool, path in tools.items():
        if path is None:
            raise DemoError(f"{tool} is not on PATH")
    return Cluster(
        Kubectl(str(tools["kubectl"]), kubeconfig),
        str(tools["helm"]),
        os.environ["HIPBMM_OPERATOR_IMAGE"],
        os.environ["HIPBMM_SERVING_IMAGE"],
        None,
    )


def own(name: str) -> Cluster:
    """Our own instance: binaries and images built once and cached, the node started, the images loaded."""
    localkube("prepare", show=False)
    localkube("up", "--profile", "node", "--name", name)
    localkube("load", "--name", name, "operator", "simulator")
    status = json.loads(localkube("status", "--name", name, "-o", "json", show=False))
    return Cluster(
        Kubectl(localkube("tool", "kubectl", show=False).strip(), status["kubeconfig"]),
        localkube("tool", "helm", show=False).strip(),
        OPERATOR_IMAGE,
        SIMULATOR_IMAGE,
        status["devicePluginDir"],
    )


OPERATOR_IMAGE = "localhost/hipbmm/operator:dev"
SIMULATOR_IMAGE = "localhost/hipbmm/simulator:dev"
