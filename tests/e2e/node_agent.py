"""What only somebody on the node can do to a pod: kill its first process, change or fill the pod's own volume."""

import contextlib
from collections.abc import Iterator
from typing import Any

from demo import wait
from demo.cluster import Cluster
from demo.kubectl import Kubectl

Json = dict[str, Any]

NAMESPACE = "hipbmm-simulator"
PODS = "/node/pods"
KILL = """
import os, pathlib, signal, sys
for path in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        mine = sys.argv[1] in (path / "cgroup").read_text()
        inner = (path / "status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1]
    except (OSError, IndexError):
        continue
    if mine and inner == "1":
        os.kill(int(path.name), signal.SIGKILL)
        print("killed", path.name)
"""
FULL = """
import ctypes, sys
libc, path = ctypes.CDLL(None, use_errno=True), sys.argv[1].encode()
if libc.mount(b"full", path, b"tmpfs", 0, b"size=4k,nr_inodes=16,mode=1777"):
    sys.exit(f"mount: errno {ctypes.get_errno()}")
"""
"""A file system of one page in place of the pod's volume."""
AWAY = """
import ctypes, sys
DETACH = 2
ctypes.CDLL(None).umount2(sys.argv[1].encode(), DETACH)
"""


class NodeAgent:
    """A privileged pod that sees the processes of its node and the volumes of its pods."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def run(self, code: str, *arguments: str) -> str:
        """What a Python program prints on the node."""
        return self._kubectl.run("exec", "e2e-node", "--", "python3", "-c", code, *arguments)

    def kill(self, pod: Json, container: str) -> None:
        """SIGKILL for the first process of a container, as the kernel does it when memory is short."""
        entries = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
        found = next(each["containerID"] for each in entries if each["name"] == container)
        assert "killed" in self.run(KILL, found.rpartition("/")[2])

    def home(self, pod: Json) -> str:
        """The directory of the pod's `/hipbmm`, as the agent sees it."""
        return f"{PODS}/{pod['metadata']['uid']}/volumes/kubernetes.io~empty-dir/hipbmm-home"

    def write(self, pod: Json, name: str, text: str) -> None:
        """A file of the pod's `/hipbmm`, in one step."""
        code = (
            "import os, sys; path, text = sys.argv[1:];"
            "open(path + '.e2e', 'w').write(text); os.rename(path + '.e2e', path)"
        )
        self.run(code, f"{self.home(pod)}/{name}", text)

    def read(self, pod: Json, name: str) -> str:
        """A file of the pod's `/hipbmm`."""
        return self.run("import sys; sys.stdout.write(open(sys.argv[1]).read())", f"{self.home(pod)}/{name}")

    @contextlib.contextmanager
    def full(self, pod: Json) -> Iterator[None]:
        """The pod's `/hipbmm` is full, for containers that start now."""
        self.run(FULL, self.home(pod))
        try:
            yield
        finally:
            self.run(AWAY, self.home(pod))


@contextlib.contextmanager
def node_agent(cluster: Cluster) -> Iterator[NodeAgent]:
    """The agent, for one module of tests."""
    kubectl = cluster.kubectl.within(NAMESPACE)
    kubectl.apply(_pod(cluster.serving_image))

    def runs() -> bool | None:
        return kubectl.get("pod", "e2e-node")["status"].get("phase") == "Running" or None

    try:
        wait.until("the agent runs", runs, 600)
        yield NodeAgent(kubectl)
    finally:
        kubectl.run("delete", "pod", "e2e-node", "--grace-period=1", timeout=120)


def _pod(image: str) -> Json:
    container = {
        "name": "agent",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "volumeMounts": [{"name": "pods", "mountPath": PODS, "mountPropagation": "Bidirectional"}],
    }
    volume = {"name": "pods", "hostPath": {"path": "/var/lib/kubelet/pods", "type": "Directory"}}
    spec = {"hostPID": True, "terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e2e-node"}, "spec": spec}
