"""Without a volume that pods can share, every replica still starts warm: rows travel by log and ConfigMap."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.rollout import workspace
from tests.kernel.pods import SMALL_MODEL

from demo import checks, view, wait
from demo.cluster import Cluster
from demo.kubectl import Kubectl

pytestmark = pytest.mark.timeout(3600)

Json = dict[str, Any]
SETTLED_WITHIN = 1200


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    with workspace(cluster, "e2e-mirror") as found:
        config = {"config.json": json.dumps(SMALL_MODEL)}
        found.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "small-config"}, "data": config})
        yield found


def mirrored(cluster: Cluster) -> Json:
    """Two replicas of a small model on a volume that they cannot share."""
    return {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmDeployment",
        "metadata": {"name": "mirrored"},
        "spec": {
            "replicas": 2,
            "image": cluster.serving_image,
            "imagePullPolicy": "IfNotPresent",
            # Where the operator mounts the ConfigMap: the simulated server reads the config, too.
            "model": {"name": "/hipbmm/model-config", "configMapRef": {"name": "small-config"}},
            "server": {"args": ["--max-num-seqs", "4"], "startupSeconds": 300, "gracePeriodSeconds": 2},
            "tuning": {"tokens": [1, 2, 4], "budgetSeconds": 600},
            "gpu": {"products": ["MI300X"]},
            "cache": {"pvc": {"accessModes": ["ReadWriteOnce"], "retain": False}},
        },
    }


def test_the_second_replica_restores_what_the_first_has_tuned(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(mirrored(cluster))
    try:
        settled = view.watch(kubectl, "mirrored", checks.settled, SETTLED_WITHIN)
        assert view.condition(settled, "StorageReady")["reason"] == "Mirrored"
        assert not kubectl.items("persistentvolumeclaims")
        (tuner,) = checks.tuners(kubectl, "mirrored")
        before = checks.reports(kubectl, "mirrored")
        assert before[tuner]["mirror"]["shards"]
        (restored,) = [answer for name, answer in before.items() if name != tuner]
        assert (restored["source"], restored["children"], restored["torchImported"]) == ("Restored", 0, False)
        assert restored["rows"] == before[tuner]["rows"] > 0
        assert restored["mirror"]["shards"] == []
        mounted = kubectl.get("configmap", settled["status"]["cache"]["mirror"])
        assert set(mounted["binaryData"]) == {f"{name}.gz" for name in before[tuner]["mirror"]["shards"]}

        # The pod that tuned goes; the one in its place finds the rows, too, and no other pod was touched.
        kubectl.run("delete", "pod", tuner, "--wait=true", timeout=600)

        def reported() -> dict[str, Json] | None:
            """The status may still be that of before the deletion."""
            found = checks.reports(kubectl, "mirrored")
            return found if len(found) == 2 else None

        after = wait.until("the report of the new pod", reported, SETTLED_WITHIN)
        view.watch(kubectl, "mirrored", checks.settled, SETTLED_WITHIN)
        assert checks.tuners(kubectl, "mirrored") == []
        assert before.keys() - {tuner} <= after.keys()
    finally:
        kubectl.run("delete", "hipbmmdeployment", "mirrored", timeout=300)
