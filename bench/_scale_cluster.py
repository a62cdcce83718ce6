"""The machine that the operator's figures are taken on: a real control plane, KWOK as nodes and pods, our CRD.

Everything shares the machine: what API server, controllers and KWOK use of it is part of the figures (`Load`).
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.api import Api, is_established, until

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
CRD = ROOT / "crds" / "hipbmm.io_hipbmmdeployments.yaml"
STAGES = ROOT / "bench" / "kwok" / "stages.yaml"
GPUS_PER_NODE = 8
_WORKERS = 8
_VOLUME = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
_COMPONENTS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running control plane with KWOK."""

    kubeconfig: Path
    audit_log: Path
    api: Api


def localkube(*arguments: str) -> str:
    """One localkube command; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "dev")}
    command = [sys.executable, "-m", "localkube", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def running(instance: str) -> Iterator[Cluster]:
    """A control plane of its own, with KWOK and the CRD; removed at the end."""
    kwok = localkube("tool", "kwok")
    # Controllers and scheduler as any cluster has them: let loose, they would take the machine from the API server.
    localkube("up", "--profile", "control-plane", "--rates", "kubernetes", "--name", instance)
    try:
        status: Json = json.loads(localkube("status", "--name", instance, "-o", "json"))
        kubeconfig = Path(status["kubeconfig"])
        api = Api(kubeconfig)
        _define(api)
        with _simulated(kwok, kubeconfig):
            yield Cluster(kubeconfig, Path(status["auditLog"]), api)
    finally:
        localkube("down", "--name", instance)


@contextlib.contextmanager
def _simulated(kwok: str, kubeconfig: Path) -> Iterator[None]:
    """KWOK plays the kubelets of nodes that have the label `kwok=yes`."""
    command = [kwok, "--kubeconfig", str(kubeconfig), "--config", str(STAGES)]
    command += ["--manage-nodes-with-label-selector", "kwok=yes", "--node-lease-duration-seconds", "120"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"KWOK ended: {log.read()[-2000:]!r}")
        finally:
            process.terminate()
            process.wait(20)


def _define(api: Api) -> None:
    crd = yaml.safe_load(CRD.read_text())
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
    api.request("PATCH", path, crd, {"fieldManager": "bench", "force": "true"}, "application/apply-patch+yaml")
    until("the CRD to be established", lambda: is_established(api.request("GET", path)))


def add_nodes(api: Api, count: int) -> None:
    """Nodes `gpu-N` with 8 MI300X each, and wait until they take pods."""
    room = {"cpu": "256", "memory": "2Ti", "pods": "500", "amd.com/gpu": str(GPUS_PER_NODE)}
    labels = {"kwok": "yes", "amd.com/gpu.device-id": "74a1", "amd.com/gpu.cu-count": "304"}

    def add(number: int) -> None:
        name = f"gpu-{number}"
        metadata = {"name": name, "labels": labels | {"kubernetes.io/hostname": name}}
        status = {"capacity": room, "allocatable": room}
        api.create(kinds.NODE, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status})

    together(add, range(count))

    def schedulable() -> bool:
        return not any(node["spec"].get("taints") for node in api.items(kinds.NODE))

    until("the nodes to take pods", schedulable, 120)


def add_volumes(api: Api, count: int) -> None:
    """Volumes of a class that is the default from now on: to provision them is not what is measured."""
    name = "bench"
    metadata = {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    made = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"}
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, **made}
    api.create(kinds.STORAGE_CLASS, body)
    spec = {
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
        "capacity": {"storage": "10Gi"},
        "storageClassName": name,
        "persistentVolumeReclaimPolicy": "Retain",
        "nfs": {"server": "192.0.2.1", "path": "/"},
    }

    def add(number: int) -> None:
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"bench-{number}"}, "spec": spec}
        api.create(_VOLUME, body)

    together(add, range(count))


def together(call: Callable[[int], object], items: Iterable[int]) -> None:
    """Call for each item, several at a time; raises what a call raised."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(call, items))


class Load:
    """Processor seconds of the cluster's components since it was made: they share the machine with the operator."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._before = _usage(instance)

    def figures(self, during: str) -> dict[str, float]:
        """Seconds of each component, and the machine's mean number of runnable processes in the last minute."""
        now = _usage(self._instance)
        used = {f"load, {during}: CPU s of {name}": now[name] - self._before.get(name, 0.0) for name in now}
        return used | {f"load, {during}: run queue": os.getloadavg()[0]}


def _usage(instance: str) -> dict[str, float]:
    """Processor seconds by component of one instance: its processes name files of its directory."""
    found = dict.fromkeys(_COMPONENTS, 0.0)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().decode().split("\0")
            name = Path(arguments[0]).name
            if name in found and any(f"/{instance}/" in argument for argument in arguments):
                found[name] += cpu_seconds(int(process.name))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
