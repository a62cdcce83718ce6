"""One node-profile cluster for the whole directory: real kubelet, real pods, simulated GPUs."""

import json
import os

import pytest

from demo import install
from demo.cluster import Cluster, choose, localkube

INSTANCE = "demo"


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The demo's own cluster (reused when it is up), with simulated GPUs and the operator installed."""
    if os.geteuid() != 0 and "KUBECONFIG" not in os.environ:
        pytest.skip("needs root for a node, or KUBECONFIG for a cluster")
    found = choose(INSTANCE)
    if found.simulated:
        install.simulated_gpus(found)
    install.operator(found)
    return found


@pytest.fixture(scope="session")
def audit_log(cluster: Cluster) -> str:
    """Path of the API server's audit log (JSON lines), which only our own cluster gives us."""
    if not cluster.simulated:
        pytest.skip("counting API writes needs the API server's audit log")
    status = json.loads(localkube("status", "--name", INSTANCE, "-o", "json", show=False))
    return str(status["auditLog"])
