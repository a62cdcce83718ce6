"""What pods of a profile get by the versions of the API server and of the nodes on which they run."""

import pytest
from tests.unit.operator.controller.profile_harness import Harness


@pytest.mark.parametrize(
    ("server", "kubelets", "modes"),
    [
        ("v1.37.2", ["v1.37.2", "v1.35.0"], ["Wrap", "EnvFile"]),
        ("v1.37.2", ["v1.37.2", "v1.34.9"], ["Wrap"]),
        ("v1.34.1-gke.3", ["v1.35.0"], ["Wrap"]),
        ("v1.37.2", [f"v1.{'9' * 5000}"], ["Wrap"]),
        ("unknown", [], ["Wrap"]),
        ("v1.35.0+k3s1", [], ["Wrap", "EnvFile"]),
    ],
)
async def test_variables_from_files_need_new_nodes(server: str, kubelets: list[str], modes: list[str]) -> None:
    harness = Harness()
    harness.kube.server = server
    for number, version in enumerate(kubelets):
        harness.node(f"n{number}", version)
    assert (await harness.run())["injection"]["modes"] == modes


@pytest.mark.parametrize(
    ("server", "kubelet", "sidecar"),
    [
        ("v1.31.9", "v1.29.0-eks-1", True),
        ("v1.31.9", "v1.28.4", False),  # it refuses the pod
        ("v1.30.1", "v1.27.16", False),  # it would wait for the end of the sidecar
        ("v1.31.9", "", False),
        ("v1.31.9", "custom", False),
        ("v1.32.0", "", True),
        ("v1.32.0", "custom", True),  # however it names itself: an older one may not be there
    ],
)
async def test_a_node_that_knows_no_sidecars_gets_none(server: str, kubelet: str, *, sidecar: bool) -> None:
    harness = Harness()
    harness.kube.server = server
    harness.node("n", kubelet)
    assert ("harvest" in (await harness.run())["injection"]) is sidecar


async def test_only_nodes_that_run_its_pods_say_what_a_pod_may_have() -> None:
    """A virtual kubelet, or an old pool without GPUs, takes nothing from them; and no profile lists nodes."""
    harness = Harness()
    harness.kube.server = "v1.36.0"
    harness.node("old", "v1.19.10-vk-azure-aci-1.4", gpus=0)
    assert (await harness.run())["injection"]["modes"] == ["Wrap"]  # a pool of GPUs that is empty now may be as old
    harness.node("gpus", "v1.36.0")
    status = await harness.run()
    assert (status["injection"]["modes"], "harvest" in status["injection"]) == (["Wrap", "EnvFile"], True)
    harness.nodes.remove("gpus")
    harness.nodes.readable = False
    assert (await harness.run())["injection"]["modes"] == ["Wrap"]
    assert ("list", "Node") not in harness.kube.reads
