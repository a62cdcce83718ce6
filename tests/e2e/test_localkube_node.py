"""localkube's node profile, for real: pods, names, volumes, two nodes side by side, kill -9, what `down` leaves."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localkube import node, processes, rootfs
from localkube.api import Api, Object
from localkube.console import Console
from localkube.paths import Layout

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="the node profile makes namespaces and mounts, which needs root"),
]

DEV = Path(__file__).resolve().parents[2] / "dev"
PODS = "/api/v1/namespaces/default/pods"
SERVER = """
import http.server, pathlib
pathlib.Path("/data/written").write_text("by the pod")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""
CLIENT = """
import os, ssl, time, urllib.request
def asked(url, **more):
    # The name server learns of a service some time after the API server, and keeps that it did not know it for a while.
    end = time.monotonic() + 200
    while True:
        try:
            return urllib.request.urlopen(url, timeout=60, **more)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
print(asked("http://web.default.svc.cluster.local").read().decode())
print(asked("http://web").read().decode())
api = "https://" + os.environ["KUBERNETES_SERVICE_HOST"] + "/version"
ca = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
print(asked(api, context=ssl.create_default_context(cafile=ca)).status)
"""


@dataclass(frozen=True)
class Instance:
    """One node in a state directory of the test's own."""

    name: str
    root: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def run(self, *arguments: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(DEV), "HIPBMM_LOCALKUBE_DIR": str(self.root.parent)}
        command = [sys.executable, "-m", "localkube", *arguments]
        done = subprocess.run([*command, "--name", self.name], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.run("status", "-o", "json"))
        return value

    def api(self) -> Api:
        return Api(self.status()["server"], self.root / "pki", "admin")

    def pids(self) -> set[int]:
        return {process.pid for process in processes.of_instance(self.root)}

    def namespaces(self) -> set[str]:
        """The namespaces that the instance has made, as the kernel names them."""
        supervisor = processes.supervisor(self.root)
        assert supervisor is not None
        kinds = ("mnt", "net", "pid", "ipc")
        found = {str(Path(f"/proc/{supervisor}/ns/{kind}").readlink()) for kind in kinds}
        return found - {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds}


def pod(name: str, code: str, *, volume: bool = False) -> Object:
    """A pod under the restricted policy that runs Python code in the base image."""
    container: Object = {
        "name": "main",
        "image": rootfs.PYTHON.image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", code],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Object = {
        "containers": [container],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsUser": 65532, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if volume:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        container["readinessProbe"] = {"httpGet": {"port": 8000, "path": "/"}, "periodSeconds": 1}
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    else:
        spec["restartPolicy"] = "Never"
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def until(what: str, probe: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.2)


def is_ready(api: Api, name: str) -> bool:
    conditions = api.request("GET", f"{PODS}/{name}").get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def deploy(api: Api) -> None:
    """A web server with a volume and a service."""
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    namespace = "/api/v1/namespaces/default"
    api.request("POST", f"{namespace}/persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim})
    api.request("POST", PODS, pod("web", SERVER, volume=True))
    ports = [{"port": 80, "targetPort": 8000}]
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}}
    api.request("POST", f"{namespace}/services", service)
    until("the web server serves", lambda: serves(api))


def fetch_from_host(api: Api) -> str:
    """What the service answers to a process on the host."""
    address = api.request("GET", "/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    with urllib.request.urlopen(f"http://{address}/", timeout=60) as answer:
        return str(answer.read().decode())


def serves(api: Api) -> bool:
    """Whether the pod is ready and the service leads to it, which kube-proxy brings about a little later."""
    try:
        return is_ready(api, "web") and fetch_from_host(api) == "served"
    except (OSError, http.client.HTTPException):  # nobody answers yet
        return False


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    found = Instance("first", tmp_path_factory.mktemp("lk") / "first")
    found.run("up", "--profile", "node")
    found.run("load", str(rootfs.archive(rootfs.PYTHON, Console())))
    deploy(found.api())
    yield found
    found.run("down")


def test_pods_serve_write_resolve_names_and_reach_the_api(instance: Instance) -> None:
    api = instance.api()
    assert fetch_from_host(api) == "served"
    assert [path.read_text() for path in (instance.root / "volumes").glob("*/written")] == ["by the pod"]
    api.request("POST", PODS, pod("client", CLIENT))

    def ended() -> bool:
        return api.request("GET", f"{PODS}/client")["status"]["phase"] in {"Succeeded", "Failed"}

    until("the client has ended", ended, 700)
    command = [_kubectl(), "--kubeconfig", instance.status()["kubeconfig"], "logs", "client"]
    logs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert logs.splitlines() == ["served", "served", "200"]


def test_device_plugins_find_the_kubelet_at_the_standard_place(instance: Instance) -> None:
    directory = instance.status()["devicePluginDir"]
    assert directory == "/var/lib/kubelet/device-plugins"
    socket = Path(f"/proc/{processes.supervisor(instance.root)}/root{directory}/kubelet.sock")
    assert socket.is_socket()


def test_the_machines_own_settings_are_not_touched(instance: Instance) -> None:
    supervisor = processes.supervisor(instance.root)
    for name, wanted in node.KERNEL_SETTINGS.items():
        inside = Path(f"/proc/{supervisor}/root/proc/sys/{name}")
        if inside.exists():
            assert inside.read_text().strip() == wanted
    ours = f"{instance.status()['server'].split('//')[1].rpartition('.')[0]}."
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert ours not in rules


def test_loading_the_same_image_again_does_nothing(instance: Instance) -> None:
    archive = str(rootfs.archive(rootfs.PYTHON, Console()))
    env = {**os.environ, "PYTHONPATH": str(DEV), "HIPBMM_LOCALKUBE_DIR": str(instance.root.parent)}
    command = [sys.executable, "-m", "localkube", "load", "--name", instance.name, archive]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "already" in done.stderr


def test_a_second_node_lives_and_goes_without_the_first_noticing(instance: Instance) -> None:
    other = Instance("second", instance.root.parent / "second")
    try:
        other.run("up", "--profile", "node")
        assert other.status()["server"] != instance.status()["server"]
        assert other.namespaces() & instance.namespaces() == set()
        namespaces = other.namespaces()
        lived = inhabitants(namespaces)
    finally:
        other.run("down")
    assert lived
    assert_gone(other)
    assert lived & inhabitants(namespaces) == set()
    assert instance.status()["state"] == "Running"
    assert fetch_from_host(instance.api()) == "served"


def test_kill_9_of_everything_is_as_good_as_a_reboot(instance: Instance) -> None:
    kubeconfig = Path(instance.status()["kubeconfig"]).read_bytes()
    for pid in instance.pids():
        # The first kill may take others along, for a pid namespace dies with its first process.
        if Path(f"/proc/{pid}").exists():
            subprocess.run(["kill", "-9", str(pid)], capture_output=True, check=False)
    until("all processes are gone", lambda: not instance.pids())
    instance.run("up")
    assert Path(instance.status()["kubeconfig"]).read_bytes() == kubeconfig
    until("the web server serves again", lambda: serves(instance.api()))


def test_down_leaves_nothing(instance: Instance) -> None:
    """The last test of this module: it takes the instance down."""
    namespaces = instance.namespaces()
    lived = inhabitants(namespaces)
    os.kill(next(iter(_components(instance, "kubelet"))), signal.SIGKILL)
    instance.run("down")
    assert lived
    assert_gone(instance)
    assert lived & inhabitants(namespaces) == set()


def _components(instance: Instance, name: str) -> set[int]:
    return {process.pid for process in processes.of_instance(instance.root) if process.component == name}


def _kubectl() -> str:
    env = {**os.environ, "PYTHONPATH": str(DEV)}
    command = [sys.executable, "-m", "localkube", "tool", "kubectl"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()


def inhabitants(namespaces: set[str]) -> set[tuple[str, str]]:
    """Processes in any of these namespaces: id and time of start.

    The kernel gives the number of a namespace that has ended to the next one at once, whoever makes that.
    """
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            living = {str((entry / "ns" / kind).readlink()) for kind in ("mnt", "net", "pid", "ipc")}
            if living & namespaces:
                found.add((entry.name, (entry / "stat").read_text().rsplit(")", 1)[1].split()[19]))
    return found


def assert_gone(instance: Instance) -> None:
    """No process, mount, interface, route, cgroup, file or mount point of the instance is left."""
    assert instance.pids() == set()
    assert not instance.root.exists()
    assert str(instance.root) not in Path("/proc/mounts").read_text(encoding="utf-8")
    interface = node.host_interface(instance.layout)
    assert not Path("/sys/class/net", interface).exists()
    assert interface not in Path("/proc/net/route").read_text(encoding="ascii")
    # Groups of other nodes come and go meanwhile: `os.walk` passes over one that has gone, `rglob` raises.
    groups = {name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names}
    assert node.cgroup_name(instance.layout) not in groups
