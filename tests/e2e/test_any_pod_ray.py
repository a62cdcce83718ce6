"""A controller of somebody else as it is: KubeRay makes a group of pods, and the group becomes ready, tuned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import foreign, kuberay
from tests.e2e.foreign import FLAGS, LABEL, MODEL, WARM, Place, pod_spec, server

from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

WORKERS = 2
ROLE = "ray.io/node-type"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/ray"
RAY = f"""#!/bin/sh
case "$1" in
start) exec vllm serve {MODEL} {" ".join(FLAGS)} ;;
health-check) exec python3 -c 'import socket, sys; socket.create_connection(sys.argv[1].split(":"), 5)' "$3" ;;
esac
exit 1
"""
"""The image has no Ray. What KubeRay runs of it: a node, which is the server here, and the question if it is up."""


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    if not cluster.simulated:
        pytest.skip("runs KubeRay's operator on this machine: only on our own cluster")
    with foreign.place(cluster, "e2e-any-ray") as found:
        found.kubectl.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ray"}, "data": {"ray": RAY}}
        )
        yield found


def template(image: str) -> Json:
    """A pod of a group as its author writes it: KubeRay adds the command, and to a worker `wait-gcs-ready`."""
    probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1, "failureThreshold": 300}
    mounts = [{"name": "model", "mountPath": MODEL}, {"name": "ray", "mountPath": "/opt/ray"}]
    changes = {"args": None, "readinessProbe": probe, "livenessProbe": probe, "volumeMounts": mounts}
    container = server(image, env=[{"name": "PATH", "value": PATH}], **changes)
    volume = {"name": "ray", "configMap": {"name": "ray", "defaultMode": 0o755}}
    return {"metadata": {"labels": {LABEL: "ray", "app": "llm"}}, "spec": pod_spec(container, volumes=[volume])}


def ray_cluster(image: str) -> Json:
    """A head and two workers; the head's server stands for Ray's own port."""
    sizes = {"replicas": WORKERS, "minReplicas": WORKERS, "maxReplicas": WORKERS}
    workers = {"groupName": "gpu", "rayStartParams": {}, "template": template(image), **sizes}
    head = {"rayStartParams": {"port": "8000"}, "template": template(image)}
    spec = {"headGroupSpec": head, "workerGroupSpecs": [workers]}
    return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "llm"}, "spec": spec}


def test_a_ray_cluster_becomes_ready_and_no_pod_is_made_anew(place: Place, tmp_path: Path) -> None:
    """Case 21, with a real controller: no sidecar, `hipbmm-warm` before what waits for the head, nothing restarts."""
    model = {"name": MODEL}
    place.profile("ray", model=model, tuning={"tokens": [1, 2]})
    place.deploy("first", "ray", pod_spec(server(place.image)))
    place.ready("first")
    place.proved("ray")
    place.remove("first")
    # More than the first pod has tuned: the group has work of its own.
    place.profile("ray", model=model, tuning={"tokens": [1, 2, 4, 8]})
    with kuberay.operator(place.kubectl, tmp_path) as log:
        try:
            place.kubectl.apply(ray_cluster(place.image))
            pods = place.all_ready("llm", 1 + WORKERS)
            place.until("the RayCluster is ready", lambda: ready(place) or None)
            check(place, pods)
            assert {p["metadata"]["uid"] for p in place.pods("llm")} == {p["metadata"]["uid"] for p in pods}
        except AssertionError as error:
            error.add_note("\n".join(log.read_text().splitlines()[-40:]))
            raise
        finally:
            place.kubectl.run("delete", "raycluster", "llm", "--ignore-not-found")
            place.until("the group is gone", lambda: not place.kubectl.items("pods", "-l", "app=llm") or None)


def ready(place: Place) -> bool:
    """What KubeRay says of the group."""
    status = place.kubectl.get("raycluster", "llm").get("status", {})
    return (status.get("state"), status.get("readyWorkerReplicas")) == ("ready", WORKERS)


def check(place: Place, pods: list[Json]) -> None:
    """All pods of the group are injected as a group's are, and serve tuned."""
    orders = {"head": [WARM], "worker": [WARM, "wait-gcs-ready"]}
    assert sorted(pod["metadata"]["labels"][ROLE] for pod in pods) == ["head", "worker", "worker"]
    for pod in pods:
        assert [c["name"] for c in pod["spec"]["initContainers"]] == orders[pod["metadata"]["labels"][ROLE]]
        assert "ray start" in " ".join(foreign.own_container(pod)["args"])
        assert set(foreign.restarts(pod).values()) == {0}
        assert foreign.report(pod)["state"] == "Complete"
        place.serves_tuned(pod)
    assert sum(foreign.report(pod)["tuned"] for pod in pods) > 0

    def counted(body: Json) -> bool:
        entries = [entry for entry in body["status"].get("workloads", []) if entry["name"] == "llm"]
        return [(each["kind"], each["injected"], each["warm"]) for each in entries] == [("RayCluster", 3, 3)]

    place.becomes("ray", "three warm pods of a RayCluster", counted)
