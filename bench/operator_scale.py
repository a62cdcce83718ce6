"""The operator with 1,000 resources on the real API server; KWOK plays nodes and pods.

API requests per resource, time from the last resource to its last child, memory, writes at rest, and how fast one change
among all reaches its Deployment. `HIPBMM_BENCH_RESOURCES` makes it smaller.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, until
from tests.cluster.audit import Audit
from tests.cluster.operator_process import NAMESPACE, OperatorProcess, identity
from tests.cluster.world import resource

from hipbmm_operator import kinds

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
INSTANCE = "scale"
SYSTEM = "hipbmm-scale-system"
USER = f"system:serviceaccount:{SYSTEM}:operator"
RESOURCES = int(os.environ.get("HIPBMM_BENCH_RESOURCES", "1000"))
FAILING = RESOURCES * 3 // 10
WORK = "scale"
QUIET_SECONDS = 60
CHANGES = 30
HEARTBEATS = 500


def localkube(*arguments: str) -> str:
    """One localkube command; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "dev")}
    command = [sys.executable, "-m", "localkube", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def cluster() -> Iterator[Json]:
    """A control plane of its own with KWOK and enough GPU nodes."""
    localkube("build", "kwok")
    localkube("up", "--profile", "control-plane", "--name", INSTANCE)
    status: Json = json.loads(localkube("status", "--name", INSTANCE, "-o", "json"))
    binary = max(Path.home().glob(".cache/hipbmm/bin/kwok-*/kwok"), key=lambda path: path.stat().st_mtime)
    command = [
        str(binary),
        "--kubeconfig",
        status["kubeconfig"],
        "--config",
        str(ROOT / "bench" / "kwok" / "stages.yaml"),
    ]
    command += ["--manage-nodes-with-label-selector", "kwok=yes", "--node-lease-duration-seconds", "40"]
    with tempfile.TemporaryFile() as log:
        kwok = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield status
        finally:
            kwok.terminate()
            kwok.wait(20)
            localkube("down", "--name", INSTANCE)


def nodes(api: Api, count: int) -> None:
    """GPU nodes with 8 MI300X."""
    room = {"cpu": "256", "memory": "2Ti", "pods": "500", "amd.com/gpu": "8"}
    labels = {"kwok": "yes", "amd.com/gpu.device-id": "74a1", "amd.com/gpu.cu-count": "304"}
    for number in range(count):
        name = f"gpu-{number}"
        metadata = {"name": name, "labels": labels | {"kubernetes.io/hostname": name}}
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata,
            "status": {"capacity": room, "allocatable": room},
        }
        api.create(kinds.NODE, body)
        api.merge(kinds.NODE, "", name, {"status": {"capacity": room, "allocatable": room}}, "status")


def together(call: Callable[[int], object], items: Iterable[int], workers: int = 8) -> None:
    """Call for each item, several at a time."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(call, items))


def measure() -> dict[str, float]:
    """All figures."""
    with cluster() as status, tempfile.TemporaryDirectory() as scratch:
        kubeconfig, audit_log = Path(status["kubeconfig"]), Path(status["auditLog"])
        api = Api(kubeconfig)
        crd = ROOT / "crds" / "hipbmm.io_hipbmmdeployments.yaml"
        kubectl = next(Path.home().glob(".cache/hipbmm/bin/kubernetes-1.37-*/kubectl"))
        subprocess.run(
            [kubectl, "--kubeconfig", kubeconfig, "apply", "--server-side", "-f", crd], check=True, stdout=-3
        )
        for name in (SYSTEM, WORK):
            api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        nodes(api, RESOURCES // 7 + 2)
        credentials = identity(api, kubeconfig, SYSTEM, Path(scratch))
        operator = OperatorProcess(credentials, SYSTEM, Path(scratch) / "operator.log", HIPBMM_BACKOFF_MAX_SECONDS="60")
        try:
            figures = _run(api, operator, audit_log)
            if defects := operator.defects():
                raise RuntimeError(f"the operator met a defect: {defects[0]}")
        finally:
            operator.stop()
        return figures


def _run(api: Api, operator: OperatorProcess, audit_log: Path) -> dict[str, float]:
    audit = Audit(audit_log, USER)
    started = time.monotonic()
    together(lambda n: api.create(kinds.DEPLOYMENTS_OF_OURS, resource(WORK, f"r-{n:04}")), range(RESOURCES))
    created = time.monotonic()
    until("all Deployments", lambda: len(api.items(kinds.DEPLOYMENT, WORK)) == RESOURCES, 300)
    children = time.monotonic()
    until("all to be ready", lambda: _ready(api) == RESOURCES, 900)
    settled = time.monotonic()
    time.sleep(5)
    requests = [e for e in audit.requests() if (e.get("objectRef") or {}).get("namespace") == WORK]
    figures = {
        "operator: seconds to create the resources": created - started,
        "operator: last child after the last resource": children - created,
        "operator: settled after the last resource": settled - created,
        "operator: API requests per resource": len(requests) / RESOURCES,
        "operator: RSS with all resources": operator.rss_mib(),
    }
    figures |= _rest(api, operator, audit_log)
    calm = _changes(api, range(CHANGES))
    figures["operator: change to Deployment, mean"] = statistics.mean(calm)
    figures["operator: change to Deployment, sigma"] = statistics.stdev(calm)
    figures["operator: change to Deployment, p99"] = _p99(calm)
    together(lambda n: api.create(kinds.DEPLOYMENTS_OF_OURS, _failing(n)), range(FAILING))
    time.sleep(30)
    busy = _changes(api, range(CHANGES, 2 * CHANGES))
    figures["operator: change beside failing ones / undisturbed"] = statistics.mean(busy) / statistics.mean(calm)
    return figures


def _ready(api: Api) -> int:
    ready = 0
    for body in api.items(kinds.DEPLOYMENTS_OF_OURS, WORK):
        found = (body.get("status") or {}).get("conditions", [])
        ready += any(c["type"] == "Ready" and c["status"] == "True" for c in found)
    return ready


def _rest(api: Api, operator: OperatorProcess, audit_log: Path) -> dict[str, float]:
    """Writes and CPU while nothing changes but heartbeats of nodes."""
    audit = Audit(audit_log, USER)
    before, started = _cpu_seconds(operator), time.monotonic()
    pause = QUIET_SECONDS / HEARTBEATS
    count = len(api.items(kinds.NODE))
    for number in range(HEARTBEATS):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + number))
        condition = {
            "type": "MemoryPressure",
            "status": "False",
            "lastHeartbeatTime": stamp,
            "reason": "x",
            "message": "",
        }
        api.merge(
            kinds.NODE,
            "",
            f"gpu-{number % count}",
            {"status": {"conditions": [condition | _ready_condition(stamp)]}},
            "status",
        )
        time.sleep(max(0.0, started + (number + 1) * pause - time.monotonic()))
    share = (_cpu_seconds(operator) - before) / (time.monotonic() - started)
    return {"operator: writes at rest in 60 s": float(len(audit.writes())), "operator: CPU at rest": share}


def _ready_condition(stamp: str) -> Json:
    return {
        "type": "Ready",
        "status": "True",
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
        "reason": "KubeletReady",
    }


def _cpu_seconds(operator: OperatorProcess) -> float:
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _changes(api: Api, numbers: Iterable[int]) -> list[float]:
    """Seconds from a change of a resource to that of its Deployment, one resource after the other."""
    seconds = []
    for number in numbers:
        name = f"r-{number:04}"
        generation = api.get(kinds.DEPLOYMENT, WORK, name)["metadata"]["generation"]
        began = time.monotonic()
        api.merge(kinds.DEPLOYMENTS_OF_OURS, WORK, name, {"spec": {"replicas": 2}})
        while api.get(kinds.DEPLOYMENT, WORK, name)["metadata"]["generation"] == generation:
            time.sleep(0.005)
        seconds.append(time.monotonic() - began)
    return seconds


def _failing(number: int) -> Json:
    """A resource whose Service is refused for ever: its port name is taken by a foreign object of the same name."""
    body = resource(WORK, f"f-{number:04}")
    body["spec"]["service"] = {"annotations": {"not a valid key!": "x"}}
    return body


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.99 * len(values)))]
