"""Many pods at once on an empty store, groups, and what the kubelet ranks a pod by."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import foreign
from tests.e2e.foreign import Place, pod_spec, server, with_env

from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

EIGHT = 8
SHARE = 1.2
"""Tuned problems of all pods / problems of the plan."""
TOKENS = [1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104]
ARGUMENTS = [foreign.MODEL, "--max-num-seqs=104", "--max-num-batched-tokens=104", "--cudagraph-capture-sizes"]
LINEARS = 4
COUNT = """
import collections, glob, json
from hipbmm_kernel.store import shard
found = set()
for path in glob.glob("/hipbmm/store/v1/*/shards/*.csv"):
    with open(path, "rb") as file:
        decoded = shard.decode(file.read())
    found |= {(decoded.origin, row.problem) for row in decoded.rows}
print(json.dumps([len(found), len({problem for _, problem in found})]))
"""
"""Rows in the store by origin, and problems."""
SKEW_SECONDS = 30
GROUP = "leaderworkerset.sigs.k8s.io"


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    if not cluster.simulated:
        pytest.skip("counts the simulator's own look-ups")
    with foreign.place(cluster, "e2e-any-many") as found:
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "rows"}, "spec": claim}
        found.kubectl.apply(body)
        yield found


def test_eight_pods_share_one_plan_and_the_ninth_needs_the_mirror_alone(place: Place) -> None:
    """Case 20: the rows of all are in the store and in the mirror; a pod without the claim restores all of them."""
    place.until("the claim is bound", lambda: place.kubectl.get("pvc", "rows")["status"]["phase"] == "Bound" or None)
    tuning = {"budgetSeconds": 600}
    place.profile("many", cache={"pvc": {"claimName": "rows"}}, tuning=tuning)
    # As slow as hardware: else a problem is done before others have seen that it is at work.
    arguments = [*ARGUMENTS, *map(str, TOKENS)]
    container = with_env(server(place.image, args=arguments), {"HIPBMM_SIM_SLEEP": "1"})
    place.deploy("many", "many", pod_spec(container), replicas=EIGHT)
    pods = place.all_ready("many", EIGHT)
    problems = len(TOKENS) * LINEARS
    assert [foreign.report(pod)["state"] for pod in pods] == ["Complete"] * EIGHT
    assert foreign.report(pods[0])["problems"] == problems
    # The sidecar has the claim, the server has not.
    counted = place.python(pods[0], f"import sys; sys.path.append('/hipbmm/kernel')\n{COUNT}", "hipbmm-harvest")
    tuned, different = json.loads(counted)
    assert different == problems
    assert tuned <= SHARE * problems
    for pod in pods:
        assert set(foreign.restarts(pod).values()) == {0}
        place.serves_tuned(pod)
    every = f"{EIGHT}/{EIGHT}"
    place.becomes("many", every, lambda body: body["status"]["pods"]["warmProgress"] == every)

    place.profile("many", tuning=tuning)
    place.kubectl.run("scale", "deployment", "many", "--replicas=7")
    place.all_ready("many", EIGHT - 1)
    place.proved("many")
    ninth = foreign.deployment("ninth", "many", pod_spec(server(place.image, args=arguments)))
    place.kubectl.apply(ninth)
    pod = place.ready("ninth")
    assert "hipbmm-store" not in [volume["name"] for volume in pod["spec"]["volumes"]]
    found = foreign.report(pod)
    assert (found["source"], found["rows"], found["children"]) == ("Restored", problems, 0)
    place.serves_tuned(pod)
    place.remove("many", "ninth")


def test_a_group_gets_no_sidecar_and_no_container_starts_again(place: Place) -> None:
    """Case 21: three pods with the labels of a LeaderWorkerSet; all are done within 30 s of each other."""
    place.profile("group")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "group"}}
    place.kubectl.apply(service | {"spec": {"clusterIP": "None", "selector": {"app": "group"}}})
    place.kubectl.apply(group("group", "group", pod_spec(server(place.image))))
    pods = place.all_ready("group", 3)
    for pod in pods:
        assert [each["name"] for each in pod["spec"]["initContainers"]] == [foreign.WARM]
        assert set(foreign.restarts(pod).values()) == {0}
        place.serves_tuned(pod)
    ends = [foreign.status_of(pod, foreign.WARM)["state"]["terminated"]["finishedAt"] for pod in pods]
    seconds = [time.mktime(time.strptime(end, "%Y-%m-%dT%H:%M:%SZ")) for end in ends]
    assert max(seconds) - min(seconds) <= SKEW_SECONDS

    def counted(body: Json) -> bool:
        entries = body["status"].get("workloads", [])
        return [(each["kind"], each["injected"], each["warm"]) for each in entries] == [("LeaderWorkerSet", 3, 3)]

    place.becomes("group", "three warm pods of a LeaderWorkerSet", counted)
    place.kubectl.run("delete", "statefulset,service", "group")
    place.until("the group is gone", lambda: not place.kubectl.items("pods", "-l", "app=group") or None)


def group(name: str, profile: str, spec: Json) -> Json:
    """A StatefulSet whose pods carry what LeaderWorkerSet puts on its own, and start side by side."""
    labels = {"app": name, foreign.LABEL: profile, f"{GROUP}/name": name, f"{GROUP}/group-index": "0"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": 3, "serviceName": name, "podManagementPolicy": "Parallel", "template": template}
    selector = {"matchLabels": {"app": name}}
    kind = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}}
    return kind | {"spec": body | {"selector": selector}}


def test_a_pod_keeps_its_rank_under_pressure(place: Place) -> None:
    """Cases 5 and 16: the kubelet evicts by quality of service, which the injection leaves as it is."""
    place.profile("ranks")
    whole = {"cpu": "100m", "memory": "900Mi"}
    for rank, resources in (("Guaranteed", whole), ("Burstable", {"memory": "900Mi"}), ("BestEffort", {})):
        name = rank.lower()
        container = server(place.image)
        container["resources"] = {"limits": {"amd.com/gpu": "1", **resources}}
        injected, plain = (foreign.deployment(f"{name}{end}", "ranks", pod_spec(container)) for end in ("", "-plain"))
        plain["spec"]["template"]["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}
        for body in (injected, plain):
            place.kubectl.apply(body)
        ours, theirs = place.pod(name), place.pod(f"{name}-plain")
        assert foreign.is_injected(ours)
        assert ours["status"]["qosClass"] == theirs["status"]["qosClass"] == rank
        assert json.dumps(ours["spec"]["tolerations"]) == json.dumps(theirs["spec"]["tolerations"])
        place.ready(name)
        place.remove(name, f"{name}-plain")
        place.proved("ranks")
