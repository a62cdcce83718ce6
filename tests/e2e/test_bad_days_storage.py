"""Volumes that are full, read-only, or that the pod may not write, and a claim without its class, on a real node."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.badday import Case, Wave, furnish
from tests.e2e.rollout import workspace

from demo import wait
from demo.cluster import Cluster
from demo.kubectl import Kubectl

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

FILLER = """
import signal
with open("/small/fill", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
print("full", flush=True)
signal.pause()
"""
"""Fills a volume of 128 KiB to the last byte."""
FROZEN = "/var/lib/kubelet/hipbmm-e2e-frozen"
FREEZER = """
import ctypes, signal, sys
libc, path = ctypes.CDLL(None, use_errno=True), b"/frozen"
READ_ONLY, DETACH = 1, 2
if libc.mount(b"frozen", path, b"tmpfs", READ_ONLY, b"size=1m,mode=1777"):
    sys.exit(f"mount: errno {ctypes.get_errno()}")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("frozen", flush=True)
signal.sigwait([signal.SIGTERM])
libc.umount2(path, DETACH)
"""
"""A read-only file system of the node, away afterwards."""
NOBODY = {"podTemplate": {"spec": {"securityContext": {"runAsUser": 2000}}}}
HELPERS = "hipbmm-simulator"
IN_NODE = {"hostPath": {"path": FROZEN, "type": "DirectoryOrCreate"}}


def empty_small_volume(kubectl: Kubectl) -> None:
    """Make room, and let a new pod look."""
    kubectl.within(HELPERS).run("exec", "filler", "--", "python3", "-c", "import os; os.unlink('/small/fill')")
    kubectl.run("delete", "pod", "-l", "hipbmm.io/deployment=full", "--wait=true")


def make_class(kubectl: Kubectl) -> None:
    """The storage class that a claim waits for, served by the cluster's own provisioner."""
    own = next(c for c in kubectl.items("storageclasses") if c["metadata"]["name"] != "late-class")
    late = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late-class"}}
    kubectl.apply(late | {key: own[key] for key in ("provisioner", "volumeBindingMode", "reclaimPolicy")})


CASES = [
    Case(
        "full",
        "StorageReady",
        "NoSpaceLeft",
        "No space left",
        {"cache": {"pvc": {"claimName": "full", "create": False}}},
        mend=empty_small_volume,
        reapply=False,
        serves=True,
    ),
    Case(
        "read-only",
        "StorageReady",
        "StoreReadOnly",
        "Read-only file system",
        {"cache": {"pvc": {"claimName": "read-only", "create": False}}},
        serves=True,
    ),
    Case(
        "not-ours",
        "StorageReady",
        "StoreNotWritable",
        "ermission denied",
        {"cache": {"pvc": {"claimName": "not-ours", "create": False}}} | NOBODY,
        serves=True,
    ),
    Case(
        "no-class",
        "StorageReady",
        "StorageClassNotFound",
        "late-class",
        {"cache": {"pvc": {"claimName": "late", "storageClassName": "late-class"}}},
        mend=make_class,
        reapply=False,
    ),
    Case(
        "no-claim",
        "StorageReady",
        "ClaimNotFound",
        "someday",
        {"cache": {"pvc": {"claimName": "someday", "create": False}}},
    ),
]


def volume(kubectl: Kubectl, name: str, path: str) -> None:
    """A directory of the node as a bound claim."""
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    owner = {"name": name, "namespace": kubectl.namespace}
    spec = shared | {"capacity": {"storage": "1Mi"}, "claimRef": owner}
    where = {"hostPath": {"path": path, "type": "DirectoryOrCreate"}, "persistentVolumeReclaimPolicy": "Retain"}
    metadata = {"name": f"{kubectl.namespace}-{name}"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec | where},
    )
    asked = shared | {"volumeName": metadata["name"], "resources": {"requests": {"storage": "1Mi"}}}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": asked})


@contextlib.contextmanager
def helper(cluster: Cluster, name: str, program: str, said: str, mount: Json, source: Json) -> Iterator[Json]:
    """A pod that does something to a volume and has said so. It is taken away again."""
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    kubectl = cluster.kubectl.within(HELPERS)
    container = {
        "name": name,
        "image": cluster.serving_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", program],
        "securityContext": {"privileged": "mountPropagation" in mount},
        "volumeMounts": [{"name": "volume", **mount}],
    }
    spec = {
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "volume", **source}],
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    try:
        wait.until(f"{name} to be done", lambda: said in kubectl.attempt("logs", name).stdout or None, 300)
        yield kubectl.get("pod", name)
    finally:
        kubectl.run("delete", "pod", name, "--wait=false")


@pytest.fixture(scope="module")
def small_volume(cluster: Cluster) -> Iterator[str]:
    """Path on the node of a memory-backed volume of another pod, which is full."""
    small = {"emptyDir": {"medium": "Memory", "sizeLimit": "128Ki"}}
    with helper(cluster, "filler", FILLER, "full", {"mountPath": "/small"}, small) as pod:
        yield f"/var/lib/kubelet/pods/{pod['metadata']['uid']}/volumes/kubernetes.io~empty-dir/volume"


@pytest.fixture(scope="module")
def frozen_volume(cluster: Cluster) -> Iterator[str]:
    """Path on the node of a file system that is read-only."""
    mount = {"mountPath": "/frozen", "mountPropagation": "Bidirectional"}
    with helper(cluster, "freezer", FREEZER, "frozen", mount, IN_NODE):
        yield FROZEN


@pytest.fixture(scope="module")
def wave(cluster: Cluster, small_volume: str, frozen_volume: str) -> Iterator[Wave]:
    with workspace(cluster, "e2e-storage") as kubectl:
        furnish(kubectl)
        volume(kubectl, "full", small_volume)
        volume(kubectl, "read-only", frozen_volume)
        volume(kubectl, "not-ours", "/var/lib/kubelet/hipbmm-e2e-not-ours")
        found = Wave(cluster, kubectl, CASES)
        found.start()
        yield found
        kubectl.run("delete", "hipbmmdeployments", "--all", "--wait=true")
        volumes = [f"e2e-storage-{name}" for name in ("full", "read-only", "not-ours")]
        kubectl.run("delete", "persistentvolumes", *volumes, "--wait=false")
        kubectl.run("delete", "storageclass", "late-class", "--ignore-not-found")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shows(wave: Wave, case: Case) -> None:
    wave.shows(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_heals(wave: Wave, case: Case) -> None:
    wave.heals(case)
