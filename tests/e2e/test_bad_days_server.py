"""The server crashes or never answers, in a real pod with a real kubelet's restarts and probes."""

from collections.abc import Iterator

import pytest
from tests.e2e.badday import Case, Wave, faults, furnish, healthy, merged
from tests.e2e.rollout import workspace

from demo import checks, install, view
from demo.cluster import Cluster
from demo.kubectl import Kubectl

pytestmark = pytest.mark.timeout(900)

CASES = [
    Case("crashes", "Available", "ServerCrashed", "exit code", faults("crash:on=server-start")),
    Case(
        "crashes-with-table",
        "Warm",
        "ServingWithoutTable",
        "the server ended 2 times",
        faults("crash:on=server-start,table=with"),
        serves=True,
    ),
    Case(
        "never-ready",
        "Available",
        "StartupDeadlineExceeded",
        "",
        merged(faults("never-ready:on=server-start"), {"server": {"startupSeconds": 20}}),
    ),
]


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    with workspace(cluster, "e2e-server") as found:
        furnish(found)
        yield found


@pytest.fixture(scope="module")
def wave(cluster: Cluster, kubectl: Kubectl) -> Wave:
    found = Wave(cluster, kubectl, CASES)
    found.start()
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shows(wave: Wave, case: Case) -> None:
    wave.shows(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_heals(wave: Wave, case: Case) -> None:
    wave.heals(case)


def test_a_killed_operator_changes_nothing(cluster: Cluster, kubectl: Kubectl) -> None:
    """kill -9 while the first rollout is held: the same end as without."""
    resource = healthy(cluster.serving_image, "outlives")
    resource["spec"]["replicas"] = 2
    resource["spec"]["tuning"]["retuneToken"] = "outlives"
    kubectl.apply(resource)
    for _ in range(2):
        kill_operator(kubectl)
    view.watch(kubectl, "outlives", checks.settled, 480)
    assert len(checks.tuners(kubectl, "outlives")) == 1


def kill_operator(kubectl: Kubectl) -> None:
    """Delete the operator's pod without grace and wait for the next one to be ready."""
    system = kubectl.within(install.SYSTEM)
    system.run("delete", "pod", "-l", "app.kubernetes.io/name=hipbmm-operator", "--grace-period=0", "--force")
    system.run("rollout", "status", "deployment/hipbmm-operator", "--timeout=300s", timeout=310)
