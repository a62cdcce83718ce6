"""One node-profile cluster for the whole directory: real kubelet, real pods, simulated GPUs."""

import json
import os
from collections.abc import Iterator

import pytest
from tests.e2e.node_agent import NodeAgent, node_agent

from demo import install
from demo.cluster import Cluster, choose, localkube
from localkube import instance

INSTANCE = os.environ.get("HIPBMM_TEST_INSTANCE", "demo")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The demo's own cluster, with simulated GPUs and the operator. One that was up is used and left up."""
    if os.geteuid() != 0 and "KUBECONFIG" not in os.environ:
        pytest.skip("needs root for a node, or KUBECONFIG for a cluster")
    was_up = instance.describe(INSTANCE)["state"] == "Running"
    if not was_up and "KUBECONFIG" not in os.environ:
        localkube("down", "--name", INSTANCE)  # what a killed run left behind would be reconciled, too
    found = choose(INSTANCE)
    try:
        if found.simulated:
            install.simulated_gpus(found)
        install.operator(found)
        yield found
    finally:
        if found.simulated and not was_up:
            localkube("down", "--name", INSTANCE)


@pytest.fixture(scope="session")
def audit_log(cluster: Cluster) -> str:
    """Path of the API server's audit log (JSON lines), which only our own cluster gives us."""
    if not cluster.simulated:
        pytest.skip("counting API writes needs the API server's audit log")
    status = json.loads(localkube("status", "--name", INSTANCE, "-o", "json", show=False))
    return str(status["auditLog"])


@pytest.fixture(scope="module")
def agent(cluster: Cluster) -> Iterator[NodeAgent]:
    """What acts as root on the node, for the tests of one file."""
    with node_agent(cluster) as found:
        yield found
