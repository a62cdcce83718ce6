"""The kernel program is absent, cut, or another one; an image has no shell: servers start, and the profile says why."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import foreign
from tests.e2e.foreign import Place, pod_spec, server

from demo import install, wait
from demo.cluster import Cluster
from demo.failure import DemoError

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

PROFILE = "program"
EDITOR = "e2e-editor"
"""A user who may edit the ConfigMaps of the namespace, and nothing else."""
PAUSE = "localhost/hipbmm/pause:1"
SHELLESS: Json = {
    "terminationGracePeriodSeconds": 1,
    "containers": [
        {
            "name": "vllm",
            "image": PAUSE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/pause"],
            "resources": {"limits": {"amd.com/gpu": "1"}},
        }
    ],
}
"""A pod of an image that has one program, and no shell."""


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    with foreign.place(cluster, "e2e-any-program") as found:
        api = "rbac.authorization.k8s.io"
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
        meta = {"name": EDITOR}
        found.kubectl.apply({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": rules})
        subjects = [{"kind": "User", "name": EDITOR, "apiGroup": api}]
        role = {"kind": "Role", "name": EDITOR, "apiGroup": api}
        binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": meta, "subjects": subjects}
        found.kubectl.apply(binding | {"roleRef": role})
        found.profile(PROFILE)
        found.deploy("first", PROFILE, pod_spec(server(found.image)))
        found.serves_tuned(found.ready("first"))
        found.proved(PROFILE)
        yield found


@pytest.fixture
def stopped(place: Place) -> Iterator[None]:
    """The operator is away: else it would put the program back within seconds."""
    system = place.kubectl.within(install.SYSTEM)
    system.run("scale", "deployment/hipbmm-operator", "--replicas=0")
    wait.until("the operator is gone", lambda: not system.items("pods") or None, 300)
    yield
    start(place)


def start(place: Place) -> None:
    """The operator is back."""
    system = place.kubectl.within(install.SYSTEM)
    system.run("scale", "deployment/hipbmm-operator", "--replicas=1")
    system.run("rollout", "status", "deployment/hipbmm-operator", "--timeout=300s", timeout=310)


def put(place: Place, name: str, data: bytes | None) -> None:
    """The editor's ConfigMap in place of the operator's; None: none."""
    as_editor = ("--as", EDITOR)
    place.kubectl.run("delete", "configmap", name, "--ignore-not-found", *as_editor)
    if data is not None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        text = json.dumps(body | {"binaryData": {"hipbmm_kernel.zip": base64.b64encode(data).decode()}})
        place.kubectl.run("create", "-f", "-", *as_editor, stdin=text)


@pytest.mark.usefixtures("stopped")
def test_a_program_that_is_not_that_of_the_status_does_not_run(place: Place) -> None:
    """Cases 15 and 27: absent, cut, another one by somebody who may edit ConfigMaps: Ready, plain, reason and Event."""
    recipe = place.status(PROFILE)["injection"]
    name = recipe["kernel"]["configMap"]
    stored = place.kubectl.get("configmap", name)
    whole = base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"])
    assert hashlib.sha256(whole).hexdigest() == recipe["kernel"]["sha256"]
    # A kubelet keeps an immutable ConfigMap as long as a pod of its node mounts it.
    place.remove("first")
    cases = (("absent", None, "KernelMissing"), ("cut", whole[: len(whole) // 2], "KernelMismatch"))
    for case, data, reason in (*cases, ("another", whole + b"\0", "KernelMismatch")):
        put(place, name, data)
        place.deploy(case, PROFILE, pod_spec(server(place.image)))
        pod = place.ready(case)
        assert foreign.report(pod)["reason"] == reason
        assert set(foreign.restarts(pod).values()) == {0}
        place.serves_plain(pod)
        code = "import os; print(os.path.exists('/hipbmm/kernel'), os.path.getsize('/hipbmm/env'))"
        assert place.python(pod, code).split() == ["False", "0"]
    patch = json.dumps({"status": {"injection": {"kernel": {"sha256": "0" * 64}}}})
    change = ("--type=merge", "--subresource=status", "-p", patch, "--as", EDITOR)
    with pytest.raises(DemoError, match="ended with 1"):
        place.kubectl.run("patch", "hipbmmprofile", PROFILE, *change)

    start(place)
    for case, reason in (("absent", "KernelMissing"), ("cut", "KernelMismatch"), ("another", "KernelMismatch")):
        assert "sha256" in place.workload(PROFILE, case, reason)["message"] or reason == "KernelMissing"
        assert place.event(case, "Untuned", reason)

    def mended() -> bool | None:
        found = place.kubectl.find("configmap", name)
        data = base64.b64decode(found["binaryData"]["hipbmm_kernel.zip"]) if found else b""
        return data == whole or None

    place.until("the operator puts its program back", mended)
    place.kubectl.run("delete", "pods", "-l", "app=another", "--wait=true", timeout=300)
    place.serves_tuned(place.ready("another"))
    place.remove("absent", "cut", "another")


def test_three_stuck_pods_end_the_injection(place: Place) -> None:
    """Case 22: an image without a shell. The third stuck pod ends it, the fourth is plain and Ready, Event, names."""
    place.profile("breaks")
    place.deploy("breaks", "breaks", SHELLESS, replicas=3)
    status = place.profile_is("breaks", "Suspended")
    stuck = {each["metadata"]["name"] for each in place.pods("breaks")}
    assert set(status["tripped"]["pods"]) == stuck
    message = place.event("breaks", "Suspended", "new ones are plain")
    assert all(name in message for name in stuck)
    place.kubectl.run("scale", "deployment", "breaks", "--replicas=4")
    fourth = place.ready("breaks")
    assert fourth["metadata"]["name"] not in stuck
    assert not foreign.is_injected(fourth)
    place.kubectl.run("delete", "pods", *stuck, "--wait=false")
    assert not any(foreign.is_injected(pod) for pod in place.all_ready("breaks", 4))
    place.remove("breaks")


def test_an_image_is_tried_by_one_pod(place: Place) -> None:
    """Case 22: the first pod of an image is stuck alone; those that come later are plain and Ready."""
    place.profile("tries")
    place.deploy("tries", "tries", SHELLESS)

    def is_held(body: Json) -> bool:
        states = [each["state"] for each in body["status"].get("canaries", [])]
        return states == ["Refused"] and body["status"]["injection"].get("heldImages") == [PAUSE]

    place.becomes("tries", "the image is held", is_held)
    place.kubectl.run("scale", "deployment", "tries", "--replicas=3")

    def others_ready() -> bool | None:
        plain = [pod for pod in place.pods("tries") if not foreign.is_injected(pod)]
        return (len(plain) == 2 and all(map(foreign.is_ready, plain))) or None

    place.until("the others are plain and Ready", others_ready)
    assert place.status("tries").get("tripped") is None
    assert view_ready(place, "tries") == "True"
    place.remove("tries")


def view_ready(place: Place, profile: str) -> str:
    """The profile's condition Ready."""
    found = place.status(profile)["conditions"]
    return str(next(each["status"] for each in found if each["type"] == "Ready"))
