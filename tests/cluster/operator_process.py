"""The operator as a process, as a service account that has exactly the rules of rbac.yaml."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.api import Api, until

from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "operator"
RULES = ROOT / "operator" / "hipbmm_operator" / "rbac.yaml"

NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
_RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLE = Kind(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_BINDING = Kind(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLE = Kind(_RBAC, "v1", "roles", "Role")
ROLE_BINDING = Kind(_RBAC, "v1", "rolebindings", "RoleBinding")


def identity(api: Api, admin_kubeconfig: Path, namespace: str, scratch: Path, serves: Sequence[str] = ()) -> Path:
    """A kubeconfig of a service account in `namespace` that may do what rbac.yaml says, and nothing else.

    With `serves` it may do so in these namespaces only, and reads nothing that is cluster-wide.
    """
    rules = yaml.safe_load(RULES.read_text())
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    _apply(api, _ACCOUNT, namespace, "operator", {})
    if not serves:
        _apply(api, CLUSTER_ROLE, "", namespace, {"rules": rules["namespaced"] + rules["cluster"]})
        _apply(api, CLUSTER_BINDING, "", namespace, bound("ClusterRole", namespace, subject))
    for served in serves:
        _apply(api, ROLE, served, "operator", {"rules": rules["namespaced"]})
        _apply(api, ROLE_BINDING, served, "operator", bound("Role", "operator", subject))
    _apply(api, ROLE, namespace, "operator-itself", {"rules": rules["own"]})
    _apply(api, ROLE_BINDING, namespace, "operator-itself", bound("Role", "operator-itself", subject))
    token = api.request("POST", _ACCOUNT.path(namespace, "operator", "token"), {"spec": {"expirationSeconds": 7200}})[
        "status"
    ]["token"]
    config = yaml.safe_load(admin_kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"] = [
        {"name": "operator", "context": {"cluster": config["clusters"][0]["name"], "user": "operator"}}
    ]
    config["current-context"] = "operator"
    path = scratch / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _apply(api: Api, kind: Kind, namespace: str, name: str, more: Json) -> None:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    api.apply(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **more})


def bound(kind: str, name: str, subject: Json) -> Json:
    return {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name}, "subjects": [subject]}


@dataclass(frozen=True)
class Program:
    """Which operator runs, and by what."""

    source: Path = SOURCE
    python: tuple[str, ...] = (sys.executable,)


THIS = Program()
_TAIL = 4000
"""So much of a log, in characters, belongs into a message."""


class OperatorProcess:
    """`python -m hipbmm_operator run`."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        log: Path,
        program: Program = THIS,
        /,
        **settings: str,
    ) -> None:
        self._log = log
        self._python = program.python
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HIPBMM_")},
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(program.source),
            "PYTHONFAULTHANDLER": "1",
            "HIPBMM_OPERATOR_NAMESPACE": namespace,
            "HIPBMM_IDENTITY": "test",
            "HIPBMM_PAYLOAD_IMAGE": "registry.example/hipbmm-operator:1",
            "HIPBMM_HTTP_PORT": "0",
            "HIPBMM_PROGRESS_SECONDS": "1",
            "HIPBMM_CRD_SECONDS": "5",
            "HIPBMM_DEBOUNCE_SECONDS": "0.1",
            "HIPBMM_RIGHTS_SECONDS": "3",
            "HIPBMM_BACKOFF_MAX_SECONDS": "4",
            **settings,
        }
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, or start it again, and wait until it is ready."""
        self._written = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._python, "-m", "hipbmm_operator", "run"], env=self._environment, stderr=log, stdout=log
            )
        try:
            until("the operator to be ready", self._ready)
        except BaseException:
            self.kill()
            raise
        return self.process

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(180)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(60)

    def retire(self) -> None:
        """Kill it if it still runs. That it has crashed, or no longer answers, is a defect whatever the test looked at.

        One that no longer answers tells first, in the log, what each of its threads was about.
        """
        code = self.process.poll()
        if code is None:
            try:
                self.http("/healthz")
            except OSError as error:
                self.process.send_signal(signal.SIGABRT)
                self.process.wait(60)
                raise AssertionError(f"the operator did not answer ({error}): {self._tail()}") from error
            self.kill()
        elif code not in {0, -signal.SIGKILL}:
            raise AssertionError(f"the operator ended with {code}: {self._tail()}")

    def http(self, path: str) -> tuple[int, str]:
        """Status and text of /healthz, /readyz or /metrics."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port()}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, sample: str) -> float:
        """One sample of /metrics by its name and labels as printed; 0 when it is not there."""
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith(sample + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def rss_mib(self, field: str = "VmRSS") -> float:
        """Resident memory; with `VmHWM` the most that it ever was."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(field)) / 1024

    def logs(self) -> list[Json]:
        """What this run has logged."""
        with self._log.open("rb") as log:
            log.seek(self._written)
            # The last line may be half there.
            return [json.loads(line) for line in log if line.startswith(b"{") and line.endswith(b"}\n")]

    def defects(self) -> list[Json]:
        """Logged exceptions: there must be none."""
        return [entry for entry in self.logs() if "exception" in entry]

    def _port(self) -> int:
        found = [re.search(r"'0\.0\.0\.0', (\d+)", entry["message"]) for entry in self.logs()]
        ports = [int(match[1]) for match in found if match]
        return ports[-1] if ports else 0

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended: {self._tail()}")
        return bool(self._port()) and self.http("/readyz")[0] == 200

    def _tail(self) -> str:
        return self._log.read_text()[-_TAIL:]
