"""Which cluster the demo runs on: the user's own (`KUBECONFIG`), or one that localkube makes on this machine."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from demo import possible
from demo.failure import DemoError
from demo.kubectl import Kubectl
from localkube.paths import Layout


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
    obstacle = possible.obstacle(os.environ, os.geteuid())
    if obstacle is not None:
        raise DemoError(obstacle)
    kubeconfig = os.environ.get("KUBECONFIG")
    # A shell in which an earlier demo's last words were followed points to our own instance.
    if kubeconfig and kubeconfig != str(Layout.of(name).kubeconfig):
        return _existing(kubeconfig)
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
