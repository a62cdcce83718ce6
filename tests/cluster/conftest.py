"""A real API server, scheduler and controller manager; nodes are objects, and a stand-in plays their kubelets."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.api import Api, is_established, until
from tests.cluster.faults.rig import Place, Rig
from tests.cluster.kubelet import Kubelet
from tests.cluster.operator_process import NAMESPACE, OperatorProcess, identity
from tests.cluster.rights import Rights
from tests.cluster.world import World
from tests.properties import fix_examples

from hipbmm_operator.kube.kinds import NODE, SERVICE_MONITOR
from localkube import instance

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CRD_FILES = sorted((ROOT / "crds").glob("*.yaml"))
CRD = ROOT / "crds" / "hipbmm.io_hipbmmdeployments.yaml"
INSTANCE = os.environ.get("HIPBMM_TEST_INSTANCE", "test")
SYSTEM = "hipbmm-test-system"
OPERATOR_USER = f"system:serviceaccount:{SYSTEM}:operator"
fix_examples()


TEST_SECONDS = 2400
"""One test waits for several states in turn, each for up to some minutes on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of this directory time, unless they say themselves how much they need."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MONITOR_CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{SERVICE_MONITOR.plural}.{SERVICE_MONITOR.group}"},
    "spec": {
        "group": SERVICE_MONITOR.group,
        "scope": "Namespaced",
        "names": {"kind": SERVICE_MONITOR.kind, "plural": SERVICE_MONITOR.plural, "singular": "servicemonitor"},
        "versions": [
            {
                "name": SERVICE_MONITOR.version,
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@dataclass(frozen=True)
class Cluster:
    """The API server under test."""

    kubeconfig: Path
    audit_log: Path | None
    pki: Path | None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The user's cluster when KUBECONFIG is set, else our own control plane: reused when it runs, else fresh."""
    if os.environ.get("KUBECONFIG"):
        yield Cluster(Path(os.environ["KUBECONFIG"]), None, None)
        return
    was_up = instance.describe(INSTANCE)["state"] == "Running"
    if not was_up:
        _localkube("down", "--name", INSTANCE)  # what a killed run left behind would be reconciled, too
    _localkube("up", "--profile", "control-plane", "--name", INSTANCE)
    status = json.loads(_localkube("status", "--name", INSTANCE, "-o", "json"))
    state = Path(status["stateDir"])
    yield Cluster(Path(status["kubeconfig"]), Path(status["auditLog"]), next(iter(state.rglob("ca.key"))).parent)
    if not was_up:
        _localkube("down", "--name", INSTANCE)


def _localkube(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "dev")}
    command = [sys.executable, "-m", "localkube", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """The API server, as its administrator, with our CRDs."""
    found = Api(cluster.kubeconfig)
    for file in CRD_FILES:
        _define(found, yaml.safe_load(file.read_text()))
    return found


def _define(api: Api, crd: Json) -> None:
    path = f"{CRDS}/{crd['metadata']['name']}"
    query = {"fieldManager": "test", "force": "true"}
    api.request("PATCH", path, crd, query, "application/apply-patch+yaml")
    until("the CRD to be established", lambda: is_established(api.request("GET", path)))


@pytest.fixture(scope="session")
def kubelet(api: Api, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """Plays the kubelets; one node with 8 MI300X is there."""
    found = Kubelet(api, cluster.pki, tmp_path_factory.mktemp("kubelet"))
    found.node("mi300x-a")
    until("the node to take pods", lambda: not api.get(NODE, "", "mi300x-a")["spec"].get("taints"))
    yield found
    found.close()


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace of its own for the test."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete(NAMESPACE, "", name)


@pytest.fixture(scope="session")
def operator_kubeconfig(api: Api, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Credentials of the operator's service account."""
    api.apply(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    return identity(api, cluster.kubeconfig, SYSTEM, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def operator(
    api: Api, kubelet: Kubelet, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One operator for all tests that do not kill it. It must never meet a defect."""
    log = tmp_path_factory.mktemp("logs") / "operator.log"
    process = OperatorProcess(operator_kubeconfig, SYSTEM, log)
    yield process
    assert process.defects() == []
    assert process.stop() == 0


@pytest.fixture(scope="module")
def no_operator(operator: OperatorProcess) -> Iterator[None]:
    """The operator of the session stands aside for tests that start their own."""
    assert operator.stop() == 0
    yield
    operator.start()
    # One that was killed still holds the Lease.
    until("the operator to lead", lambda: operator.metric("hipbmm_leader") == 1)


@pytest.fixture(scope="module")
def place(
    api: Api, kubelet: Kubelet, cluster: Cluster, no_operator: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Where tests build operators of their own, with GPUs for many of them."""
    kubelet.node("mi300x-many", gpus=64)
    yield Place(api, kubelet, cluster.kubeconfig, tmp_path_factory.mktemp("rigs"))
    kubelet.remove_node("mi300x-many")


@pytest.fixture
def one(place: Place) -> Iterator[Rig]:
    """An operator of its own, not yet started."""
    with Rig(place) as found:
        yield found


@pytest.fixture
def world(api: Api, kubelet: Kubelet, operator: OperatorProcess, namespace: str) -> Iterator[World]:
    """A namespace that the running operator serves."""
    found = World(api, kubelet, namespace)
    yield found
    found.clean()


@pytest.fixture
def rights(api: Api, operator: OperatorProcess) -> Iterator[Rights]:
    """What the running operator may do; put back afterwards."""
    found = Rights(api, SYSTEM, OPERATOR_USER)
    yield found
    found.give_back()


@pytest.fixture
def everything() -> Json:
    """A spec with every field set."""
    path = ROOT / "tests" / "golden" / "operator" / "everything" / "resource.yaml"
    return dict(yaml.safe_load(path.read_text())["spec"])


def knows_monitors(api: Api) -> bool:
    """Whether the cluster has ServiceMonitors."""
    return any(crd["metadata"]["name"] == MONITOR_CRD["metadata"]["name"] for crd in api.request("GET", CRDS)["items"])


@pytest.fixture
def prometheus_operator(api: Api) -> Iterator[None]:
    """Of the Prometheus operator only the CRD of its ServiceMonitors; one that is there is used and stays."""
    if knows_monitors(api):
        yield
        return
    name = MONITOR_CRD["metadata"]["name"]
    api.request("POST", CRDS, MONITOR_CRD)
    until("the CRD", lambda: is_established(api.request("GET", f"{CRDS}/{name}")))
    yield
    api.request("DELETE", f"{CRDS}/{name}")
    until("no ServiceMonitors", lambda: not knows_monitors(api))
