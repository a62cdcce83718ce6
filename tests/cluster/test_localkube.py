"""localkube's control-plane profile, for real: two instances side by side, kill -9, what `down` leaves."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localkube import processes
from localkube.api import Api, ApiError

DEV = Path(__file__).resolve().parents[2] / "dev"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass(frozen=True)
class Instance:
    """One instance in a state directory of the test's own."""

    name: str
    root: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "PYTHONPATH": str(DEV), "HIPBMM_LOCALKUBE_DIR": str(self.root.parent)}
        command = [sys.executable, "-m", "localkube", *arguments, "--name", self.name]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    def up(self, *arguments: str) -> None:
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.run("status", "-o", "json").stdout)
        return value

    def api(self) -> Api:
        return Api(self.status()["server"], self.root / "pki", "admin")

    def pids(self) -> set[int]:
        return {process.pid for process in processes.of_instance(self.root)}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    found = Instance("first", tmp_path_factory.mktemp("localkube") / "first")
    found.up("--profile", "control-plane")
    yield found
    found.run("down")


def until(probe: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_status_says_where_everything_is(instance: Instance) -> None:
    state = instance.status()
    assert state["state"] == "Running"
    names = {component["name"] for component in state["components"]}
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "provisioner"} <= names
    assert instance.run("kubeconfig").stdout.strip() == state["kubeconfig"]
    assert Path(state["kubeconfig"]).stat().st_mode & 0o077 == 0
    assert state["server"].startswith("https://127.0.0.1:")


def test_a_second_up_changes_nothing(instance: Instance) -> None:
    before = instance.pids()
    instance.up()
    assert instance.pids() == before
    refused = (
        instance.run("up", "--profile", "node") if os.geteuid() == 0 else instance.run("up", "--kubernetes", "1.36")
    )
    assert refused.returncode == 1
    assert "localkube down --name first" in refused.stderr


def test_the_server_knows_its_version_and_admission_works(instance: Instance) -> None:
    api = instance.api()
    assert api.request("GET", "/version")["minor"] == instance.status()["kubernetes"].split(".")[1]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    container = {"name": "c", "image": "x", "securityContext": {"privileged": True}}
    # Admission asks for the account before it looks at the rest.
    until(lambda: "default" in [each["metadata"]["name"] for each in accounts(api, "strict")])
    with pytest.raises(ApiError, match="PodSecurity"):
        api.request(
            "POST",
            "/api/v1/namespaces/strict/pods",
            {"metadata": {"name": "p"}, "spec": {"containers": [container], "serviceAccountName": "default"}},
        )
    assert api.request("GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")["items"] == []


def accounts(api: Api, namespace: str) -> list[Any]:
    return list(api.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"])


def test_a_claim_of_any_size_is_bound_and_its_directory_goes_with_it(instance: Instance) -> None:
    api = instance.api()
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "300Ti"}}}
    api.request("POST", claims, {"metadata": {"name": "store"}, "spec": spec})

    def bound() -> bool:
        return bool(api.request("GET", f"{claims}/store").get("status", {}).get("phase") == "Bound")

    until(bound)
    (directory,) = (instance.root / "volumes").iterdir()
    assert directory.stat().st_mode & 0o777 == 0o777
    api.request("DELETE", f"{claims}/store")
    until(lambda: not directory.exists() and not api.request("GET", "/api/v1/persistentvolumes")["items"])


def test_writes_are_counted_by_user_in_the_audit_log(instance: Instance) -> None:
    instance.api().request("POST", CONFIG_MAPS, {"metadata": {"name": "counted"}})
    log = Path(instance.status()["auditLog"])

    def counted() -> list[dict[str, Any]]:
        """A request is in the log some time after its answer; the last line may be half there."""
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("}\n")]
        return [each for each in events if each["verb"] == "create" and _named(each) == "counted"]

    until(lambda: bool(counted()))
    (event,) = counted()
    assert event["user"]["username"] == "kubernetes-admin"
    assert event["stage"] == "ResponseComplete"


def _named(event: dict[str, Any]) -> object:
    return event.get("objectRef", {}).get("name")


def test_a_killed_component_comes_back_by_itself(instance: Instance) -> None:
    def pid(name: str) -> int | None:
        found = [process.pid for process in processes.of_instance(instance.root) if process.component == name]
        return found[0] if found else None

    before = pid("kube-apiserver")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: pid("kube-apiserver") not in {None, before})
    until(lambda: instance.status()["state"] == "Running")


@pytest.mark.parametrize("victims", ["all", "supervisor"])
def test_up_after_kill_9_has_the_same_data_at_the_same_address(instance: Instance, victims: str) -> None:
    instance.api().request("POST", CONFIG_MAPS, {"metadata": {"name": f"kept-{victims}"}, "data": {"a": "b"}})
    kubeconfig = Path(instance.status()["kubeconfig"])
    before = kubeconfig.read_bytes()
    old = instance.pids()
    supervisor = processes.supervisor(instance.root)
    assert supervisor is not None
    for pid in old if victims == "all" else [supervisor]:
        # The components die with the supervisor, whoever kills it: one of them may have ended before its turn.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not instance.pids())
    assert instance.status()["state"] == "Stopped"
    instance.up()
    assert kubeconfig.read_bytes() == before
    assert not old & instance.pids()
    assert instance.api().request("GET", f"{CONFIG_MAPS}/kept-{victims}")["data"] == {"a": "b"}


def test_two_instances_share_nothing_and_down_leaves_nothing(instance: Instance) -> None:
    other = Instance("second", instance.root.parent / "second")
    try:
        other.up()
        assert other.status()["server"] != instance.status()["server"]
        other.api().request("POST", CONFIG_MAPS, {"metadata": {"name": "mine"}})
        with pytest.raises(ApiError, match="404"):
            instance.api().request("GET", f"{CONFIG_MAPS}/mine")
    finally:
        assert other.run("down").returncode == 0
    assert other.pids() == set()
    assert not other.root.exists()
    assert [path.name for path in instance.root.parent.iterdir() if "second" in path.name] == []
    assert other.status()["state"] == "Absent"
    assert instance.status()["state"] == "Running"


def test_kept_data_is_there_again(instance: Instance) -> None:
    instance.api().request("POST", CONFIG_MAPS, {"metadata": {"name": "over-night"}})
    assert instance.run("down", "--keep").returncode == 0
    assert instance.pids() == set()
    instance.up()
    assert instance.api().request("GET", f"{CONFIG_MAPS}/over-night")["metadata"]["name"] == "over-night"
