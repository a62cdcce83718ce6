"""A stand-in for the kubelet of nodes that exist as objects only: the tests say what containers do.

It keeps its nodes alive, removes pods that are being deleted, and serves container logs to the API server.
"""

import contextlib
import copy
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, ApiStatusError
from urllib3.exceptions import HTTPError

from hipbmm_operator.kube.kinds import EVENT, NODE, POD, Kind

Json = dict[str, Any]

_LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
_BEAT_SECONDS = 8.0

STACK: Json = {
    "arch": "gfx942",
    "computeUnits": 304,
    "product": "MI300X",
    "partition": "SPX",
    "memoryPartition": "NPS1",
    "hipblaslt": "1.2.2",
    "aiter": "0.1.20",
    "rocm": "7.2.1",
    "fp8": "e4m3fnuz",
    "simulated": False,
}


def report(**changes: object) -> Json:
    """What `warm` says when all is well, changed."""
    full: Json = {
        "v": 1,
        "state": "Complete",
        "reason": "Tuned",
        "message": "204 of 204 matrix shapes tuned in 48 s",
        "key": "9f2c0a1b2c3d4e5f",
        "stack": copy.deepcopy(STACK),
        "plan": {"source": "Config", "architecture": "Qwen3ForCausalLM", "linears": 4},
        "problems": 204,
        "tuned": 204,
        "failed": 0,
        "restored": 0,
        "source": "Tuned",
        "seconds": 48.1,
        "geomean": "1.11",
        "rows": 204,
        "digest": "sha256:" + "0" * 64,
        "hipbmm": True,
        "storage": {"writable": True, "error": ""},
        "errors": [],
    }
    return full | changes


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """All nodes of one test session."""

    def __init__(self, api: Api, pki: Path | None, scratch: Path) -> None:
        self.api = api
        self.logs: dict[str, str] = {}
        """By pod, or by `pod/container`."""
        self._nodes: dict[str, None] = {}
        self._beats = 0
        self._stop = threading.Event()
        self._port = self._serve_logs(pki, scratch) if pki else 0
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and remove the nodes."""
        self._stop.set()
        self._thread.join(10)
        for name in list(self._nodes):
            self.remove_node(name)

    def node(
        self, name: str, *, labels: dict[str, str] | None = None, gpus: int = 8, resource: str = "amd.com/gpu"
    ) -> str:
        """A node that is Ready, with AMD's labels of an MI300X unless told otherwise."""
        mi300x = {"amd.com/gpu.device-id": "74a1", "amd.com/gpu.cu-count": "304"}
        found = {"kubernetes.io/hostname": name, **(mi300x if labels is None else labels)}
        self.api.apply(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": found}})
        self._nodes[name] = None
        self.heartbeat(name, gpus, resource)
        return name

    def heartbeat(
        self, name: str, gpus: int | None = None, resource: str = "amd.com/gpu", more: Json | None = None
    ) -> None:
        """What a kubelet writes every few minutes; with `gpus`, also what it has, and `more` of other things."""
        self._beats += 1
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        # Each beat has a time of its own, so that none is the same as the one before.
        time = (datetime.now(UTC) + timedelta(seconds=self._beats)).strftime("%Y-%m-%dT%H:%M:%SZ")
        status: Json = {"conditions": [condition | {"lastHeartbeatTime": time, "lastTransitionTime": time}]}
        if gpus is not None:
            room = {"cpu": "256", "memory": "2Ti", "pods": "500", "ephemeral-storage": "10Ti"}
            room |= {**({resource: str(gpus)} if gpus else {}), **(more or {})}
            status |= {"capacity": room, "allocatable": room}
            status["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
            status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self._port}}
        self.api.merge(NODE, "", name, {"status": status}, "status")

    def remove_node(self, name: str) -> None:
        """Take a node away."""
        self._nodes.pop(name, None)
        self.api.delete(NODE, "", name)
        self.api.delete(_LEASE, "kube-node-lease", name)

    def containers(self, pod: Json, states: dict[str, Json], *, ready: bool = False, phase: str = "Running") -> None:
        """Set the state of a pod's containers by name; those not named wait. Restarts are never taken back."""
        metadata, spec = pod["metadata"], pod["spec"]
        before = self.api.get(POD, metadata["namespace"], metadata["name"])["status"]
        inner = _restarts(before, "initContainerStatuses")
        outer = _restarts(before, "containerStatuses")
        begun = "" if ready else _begun(states)
        conditions = [
            _condition("PodScheduled", True, before),
            _condition("Initialized", phase == "Running", before),
            _condition("ContainersReady", ready, before, begun),
            _condition("Ready", ready, before, begun),
        ]
        status: Json = {
            "phase": phase,
            "startTime": before.get("startTime") or now(),
            "initContainerStatuses": [self._status(c, states, inner) for c in spec.get("initContainers", [])],
            "containerStatuses": [self._status(c, states, outer) for c in spec["containers"]],
            "conditions": conditions,
        }
        self.api.merge(POD, metadata["namespace"], metadata["name"], {"status": status}, "status")

    def refuse(self, pod: Json, reason: str, message: str) -> None:
        """The kubelet does not admit the pod, or throws it out."""
        metadata = pod["metadata"]
        status = {"phase": "Failed", "reason": reason, "message": message}
        self.api.merge(POD, metadata["namespace"], metadata["name"], {"status": status}, "status")

    def event(self, pod: Json, reason: str, message: str) -> None:
        """A Warning about a pod."""
        metadata = pod["metadata"]
        about = {"apiVersion": "v1", "kind": "Pod", **{k: metadata[k] for k in ("name", "namespace", "uid")}}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": metadata["name"] + ".", "namespace": metadata["namespace"]},
            "involvedObject": about,
            "type": "Warning",
            "reason": reason,
            "message": message,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
            "source": {"component": "kubelet"},
        }
        self.api.create(EVENT, body)

    def warming(self, pod: Json, log: str = "") -> None:
        """`warm` runs and has written this log."""
        self.logs[pod["metadata"]["name"]] = log
        self.containers(pod, {"payload": ended(0), "warm": running()}, phase="Pending")

    def warmed(self, pod: Json, answer: Json | None = None) -> None:
        """`warm` ended well; the server starts."""
        states = {"payload": ended(0), "warm": ended(0, json.dumps(answer or report())), "harvest": running()}
        self.containers(pod, states | {"server": running()})

    def serving(self, pod: Json, answer: Json | None = None, mode: str = "Tuned") -> None:
        """The server answers. `mode` is what `exec` says of its start."""
        self.logs[f"{pod['metadata']['name']}/server"] = f"hipbmm exec: start 1 of the server, mode {mode}\nINFO vLLM\n"
        done = {"payload": ended(0), "warm": ended(0, json.dumps(answer or report()))}
        up = {"harvest": running(ready=True), "server": running(ready=True)}
        self.containers(pod, {**done, **up}, ready=True)

    def still_serving(self, pod: Json, answer: Json | None = None) -> bool:
        """The same for a pod that a rollout may have removed since it was seen; whether it was there."""
        try:
            self.serving(pod, answer)
        except ApiStatusError as error:
            if error.status != 404:
                raise
            return False
        return True

    @staticmethod
    def _status(container: Json, states: dict[str, Json], restarts: dict[str, int]) -> Json:
        name = container["name"]
        base = {
            "name": name,
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "started": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "PodInitializing"}},
        }
        found = base | states.get(name, {})
        return found | {"restartCount": max(found["restartCount"], restarts.get(name, 0))}

    def _beat(self) -> None:
        """Node leases, and the end of pods that are being deleted."""
        due = 0.0
        while not self._stop.wait(0.2):
            with contextlib.suppress(ApiStatusError, OSError, HTTPError):  # the next beat tries again
                if time.monotonic() >= due:
                    self._renew()
                    due = time.monotonic() + _BEAT_SECONDS
                self._bury()

    def _renew(self) -> None:
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for name in list(self._nodes):
            spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": time}
            metadata = {"name": name, "namespace": "kube-node-lease"}
            self.api.apply(
                _LEASE, {"apiVersion": _LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
            )

    def _bury(self) -> None:
        for pod in self.api.items(POD):
            metadata = pod["metadata"]
            if metadata.get("deletionTimestamp") and pod["spec"].get("nodeName") in self._nodes:
                self.api.delete(POD, metadata["namespace"], metadata["name"], grace=0)

    def _serve_logs(self, pki: Path, scratch: Path) -> int:
        certificate = _certificate(pki, scratch)
        logs = self.logs

        class Handler(http.server.BaseHTTPRequestHandler):
            """/containerLogs/NAMESPACE/POD/CONTAINER."""

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                pod, container = path.split("/")[3:5]
                asked = urllib.parse.parse_qs(query)
                lines = logs.get(f"{pod}/{container}", logs.get(pod, "")).splitlines(keepends=True)
                body = "".join(lines[-int(asked.get("tailLines", ["1000000"])[0]) :]).encode()
                body = body[: int(asked.get("limitBytes", ["1000000"])[0])]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return int(server.server_address[1])


def _restarts(status: Json, key: str) -> dict[str, int]:
    return {entry["name"]: entry["restartCount"] for entry in status.get(key) or []}


def _condition(kind: str, holds: bool, before: Json, begun: str = "") -> Json:
    """A condition of a pod; its time moves with its status only, and is at first that of the pod's beginning."""
    was: Json = next((entry for entry in before.get("conditions") or [] if entry["type"] == kind), {})
    moved = was.get("status", str(holds)) != str(holds)
    return {
        "type": kind,
        "status": str(holds),
        "lastTransitionTime": now() if moved else was.get("lastTransitionTime") or begun or now(),
    }


def _begun(states: dict[str, Json]) -> str:
    """When the first of these containers that has ended was started; "" without any."""
    ends = (state.get(key, {}).get("terminated") for state in states.values() for key in ("state", "lastState"))
    return min((end["startedAt"] for end in ends if end), default="")


def running(*, ready: bool = False) -> Json:
    return {"ready": ready, "started": ready, "state": {"running": {"startedAt": now()}}}


def waiting(reason: str, message: str = "", **more: object) -> Json:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, message: str = "", reason: str = "", seconds: float = 1.0) -> Json:
    return {"ready": code == 0, "state": {"terminated": termination(code, message, reason, seconds)}}


def crashed(code: int, message: str = "", reason: str = "Error", seconds: float = 1.0, restarts: int = 2) -> Json:
    """In CrashLoopBackOff after such an end."""
    last = {"terminated": termination(code, message, reason, seconds)}
    back_off = "back-off 10s restarting failed container"
    return waiting("CrashLoopBackOff", back_off, lastState=last, restartCount=restarts)


def termination(code: int, message: str, reason: str, seconds: float) -> Json:
    finished = datetime.now(UTC)
    times = {"startedAt": finished - timedelta(seconds=seconds), "finishedAt": finished}
    return {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "message": message,
        **{key: moment.strftime("%Y-%m-%dT%H:%M:%SZ") for key, moment in times.items()},
    }


def _certificate(pki: Path, scratch: Path) -> Path:
    """A serving certificate for 127.0.0.1 that the API server trusts, with its key, in one file."""
    key, request, chain = scratch / "kubelet.key", scratch / "kubelet.csr", scratch / "kubelet.pem"
    names = scratch / "names"
    names.write_text("subjectAltName=IP:127.0.0.1")
    make = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kubelet"]
    _quietly([*make, "-keyout", str(key), "-out", str(request)])
    sign = ["openssl", "x509", "-req", "-in", str(request), "-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key")]
    _quietly([*sign, "-days", "2", "-set_serial", "7", "-extfile", str(names), "-out", str(chain)])
    chain.write_text(chain.read_text() + key.read_text())
    return chain


def _quietly(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def pods(api: Api, namespace: str) -> Iterator[Json]:
    """Pods that are not being deleted."""
    return (pod for pod in api.items(POD, namespace) if "deletionTimestamp" not in pod["metadata"])
