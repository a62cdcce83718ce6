"""KubeRay's own operator, built from its Go module, against the cluster under test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.kubectl import Kubectl
from localkube import builder, modules
from localkube.console import Console

MODULE = "github.com/ray-project/kuberay/ray-operator"
CRDS = ("rayclusters.ray.io", "rayjobs.ray.io", "rayservices.ray.io")


def _crd_folder() -> str:
    """Of the version that is built: in Go's module cache."""
    command = [builder.require_go(), "list", "-m", "-f", "{{.Dir}}", MODULE]
    where, env = modules.load("kuberay").path, builder.go_environment()
    done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=True)
    return f"{done.stdout.strip()}/config/crd/bases"


@contextmanager
def operator(kubectl: Kubectl, scratch: Path) -> Iterator[Path]:
    """It watches one namespace; the path of its log."""
    binary = builder.tool("ray-operator", Console())
    kubectl.run("apply", "--server-side", "-f", _crd_folder())
    for name in CRDS:
        kubectl.run("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
    log = scratch / "kuberay.log"
    flags = ["--enable-leader-election=false", "--metrics-addr=0", "--health-probe-bind-address=0"]
    env = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
    with log.open("w") as file:
        command = [str(binary), f"--watch-namespace={kubectl.namespace}", *flags]
        process = subprocess.Popen(command, env=env, stdout=file, stderr=file)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(60)
        kubectl.run("delete", "crd", *CRDS)
