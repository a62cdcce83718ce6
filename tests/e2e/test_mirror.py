"""Without a volume that pods can share, every replica still starts warm: rows travel by log and ConfigMap."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.rollout import workspace
from tests.e2e.test_bad_days import SMALL_CONFIG, healthy

from demo import checks, view
from demo.cluster import Cluster
from demo.kubectl import Kubectl

pytestmark = pytest.mark.timeout(600)

Json = dict[str, Any]
SETTLED_WITHIN = 300


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    with workspace(cluster, "e2e-mirror") as found:
        config = {"config.json": json.dumps(SMALL_CONFIG)}
        found.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "small-config"}, "data": config})
        yield found


def test_the_second_replica_restores_what_the_first_has_tuned(cluster: Cluster, kubectl: Kubectl) -> None:
    resource = healthy(cluster, "mirrored")
    resource["spec"] |= {"replicas": 2, "cache": {"pvc": {"accessModes": ["ReadWriteOnce"], "retain": False}}}
    # The simulated server reads the config, too: it is where the operator mounts the ConfigMap.
    resource["spec"]["model"]["name"] = "/hipbmm/model-config"
    kubectl.apply(resource)
    try:
        settled = view.watch(kubectl, "mirrored", checks.settled, SETTLED_WITHIN)
        assert view.condition(settled, "StorageReady")["reason"] == "Mirrored"
        assert not kubectl.items("persistentvolumeclaims")
        (tuner,) = checks.tuners(kubectl, "mirrored")
        before = checks.reports(kubectl, "mirrored")
        assert before[tuner]["mirror"]["shards"]
        (restored,) = checks.restored_fast(kubectl, "mirrored", tuner).values()
        assert restored["rows"] == before[tuner]["rows"] > 0
        assert restored["mirror"]["shards"] == []
        mounted = kubectl.get("configmap", settled["status"]["cache"]["mirror"])
        assert set(mounted["binaryData"]) == {f"{name}.gz" for name in before[tuner]["mirror"]["shards"]}

        # The pod that tuned goes; the one in its place finds the rows, too, and no other pod was touched.
        kubectl.run("delete", "pod", tuner, "--wait=true", timeout=120)
        view.watch(kubectl, "mirrored", checks.settled, SETTLED_WITHIN)
        after = checks.reports(kubectl, "mirrored")
        assert checks.tuners(kubectl, "mirrored") == []
        assert before.keys() - {tuner} <= after.keys()
    finally:
        kubectl.run("delete", "hipbmmdeployment", "mirrored", timeout=120)
