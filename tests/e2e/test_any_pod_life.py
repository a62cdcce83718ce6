"""A profile and its pods over time: labels before profiles, restarts, GitOps, a stopped operator, another program."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import foreign
from tests.e2e.foreign import LABEL, Place, pod_spec, server
from tests.e2e.node_agent import NodeAgent

from demo import install, wait
from demo.cluster import Cluster
from demo.kubectl import environment

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

PROFILE = "life"
GITOPS_SECONDS, GITOPS_EVERY = 60, 10


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    """A profile whose image is proved, and a Deployment `first` that it has tuned."""
    if not cluster.simulated:
        pytest.skip("counts the simulator's own look-ups")
    with foreign.place(cluster, "e2e-any-life") as found:
        found.deploy("early", PROFILE, with_command(found.image))
        found.serves_plain(found.ready("early"))
        found.profile(PROFILE)
        yield found


def with_command(image: str, **changes: Any) -> Json:  # noqa: ANN401  # fields of a container
    """A server with a command."""
    return pod_spec(server(image, **{"command": ["vllm", "serve"], **changes}))


def replaced(place: Place, name: str, holds: Any) -> Json:  # noqa: ANN401  # a question about a pod
    """A new pod in place of the present ones, Ready."""
    old = {each["metadata"]["uid"] for each in place.pods(name)}
    place.kubectl.run("delete", "pods", "-l", f"app={name}", "--wait=false")
    return place.pod(
        name,
        "a new pod that is Ready",
        lambda pod: pod["metadata"]["uid"] not in old and foreign.is_ready(pod) and holds(pod),
    )


def test_a_label_before_its_profile(place: Place) -> None:
    """Case 26: the pod is counted as plain, with the reason and the command that changes it; the command works."""
    entry = place.workload(PROFILE, "early", "Predates")
    assert (entry["kind"], entry["injected"], entry["notInjected"]) == ("Deployment", 0, 1)
    command = f"kubectl -n {place.kubectl.namespace} rollout restart deployment/early"
    assert command in entry["message"]
    assert "Predates" in place.event("early", "NotInjected", command)
    assert "0/1" in place.kubectl.run("get", "hbp", PROFILE)
    assert f"do        {command}" in explain(place, place.pods("early")[0])

    place.kubectl.run(*command.split()[1:])
    pod = place.pod("early", "an injected pod", lambda found: foreign.is_injected(found) and foreign.is_ready(found))
    place.serves_tuned(pod)
    assert "injected  yes, Wrap" in explain(place, pod)
    place.workload(PROFILE, "early", "")
    assert place.event("early", "Injected", PROFILE)
    place.proved(PROFILE)


def explain(place: Place, pod: Json) -> str:
    """What `kubectl hipbmm explain` prints, with the plugin of the examples."""
    kubectl = place.kubectl
    path = f"{Path(kubectl.binary).parent}:{install.ROOT / 'examples'}:{os.environ['PATH']}"
    command = [kubectl.binary, "hipbmm", "explain", pod["metadata"]["name"], "-n", kubectl.namespace]
    env = environment() | {"PATH": path, "KUBECONFIG": kubectl.kubeconfig}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout


def test_pods_that_are_not_to_be_injected_run_as_their_author_wrote_them(place: Place) -> None:
    """Case 8: `hipbmm.io/skip`, and two containers with GPUs."""
    skipping = foreign.deployment("skipping", PROFILE, with_command(place.image))
    skipping["spec"]["template"]["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}
    place.kubectl.apply(skipping)
    spec = with_command(place.image)
    other = server(place.image, name="other", command=["vllm", "serve"], readinessProbe=None, ports=None)
    other["args"] = [*other["args"], "--port", "8001"]
    spec["containers"].append(other)
    place.deploy("two", PROFILE, spec)
    for name in ("skipping", "two"):
        pod = place.ready(name)
        assert "initContainers" not in pod["spec"]
        assert foreign.own_container(pod)["command"] == ["vllm", "serve"]
        place.serves_plain(pod)
    assert "spec.container" in place.workload(PROFILE, "two", "SeveralGpuContainers")["message"]
    place.remove("skipping", "two")


def test_a_variable_of_the_author_wins(place: Place) -> None:
    """Case 4: a literal value, one of a ConfigMap, and PYTHONPATH, in both ways of starting a server."""
    source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}}
    place.kubectl.apply(source | {"data": {"VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0"}})
    literal = [{"name": "VLLM_ROCM_USE_AITER", "value": "0"}]
    named = [{"configMapRef": {"name": "flags"}}]
    path = [{"name": "PYTHONPATH", "value": "/app"}]
    cases: dict[str, tuple[Json, dict[str, str]]] = {
        "literal-entrypoint": ({"env": literal}, {"VLLM_ROCM_USE_AITER": "0"}),
        "literal-command": ({"env": literal, "command": ["vllm", "serve"]}, {"VLLM_ROCM_USE_AITER": "0"}),
        "named": ({"envFrom": named}, {"VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0"}),
        "path": ({"env": path}, {"PYTHONPATH": "/app"}),
    }
    for name, (changes, _) in cases.items():
        place.deploy(name, PROFILE, pod_spec(server(place.image, **changes)))
    for name, (_, values) in cases.items():
        pod = place.ready(name)
        assert foreign.is_injected(pod)
        assert values.items() <= place.environment(pod).items()
        assert place.counters(pod)["hipbmm_sim_chosen_total"] == 0
    place.remove(*cases)


def test_a_server_that_starts_again_reads_the_file_anew_and_tunes_nothing(place: Place, agent: NodeAgent) -> None:
    """Case 19."""
    place.deploy("again", PROFILE, pod_spec(server(place.image)))
    pod = place.ready("again")
    place.serves_tuned(pod)
    before = place.whole_report(pod)

    def started_again(times: int) -> Json:
        agent.kill(place.ready("again"), "vllm")
        return place.pod(
            "again",
            f"start {times} of the server",
            lambda found: foreign.restarts(found).get("vllm") == times and foreign.is_ready(found),
        )

    second = started_again(1)
    place.serves_tuned(second)
    assert place.whole_report(second) == before
    agent.write(second, "env", "")
    third = started_again(2)
    place.serves_plain(third)
    assert foreign.restarts(third)[foreign.WARM] == 0
    place.remove("again")


def test_the_owner_s_manifest_applied_again_and_again(place: Place) -> None:
    """Case 25: GitOps applies the manifest while pods roll: generation constant, no difference."""
    manifest = json.dumps(foreign.deployment("early", PROFILE, with_command(place.image)))
    place.kubectl.run(
        "apply", "--server-side", "--field-manager", "gitops", "--force-conflicts", "-f", "-", stdin=manifest
    )
    generation = place.kubectl.get("deployment", "early")["metadata"]["generation"]
    until = time.monotonic() + GITOPS_SECONDS
    while time.monotonic() < until:
        place.kubectl.run("delete", "pods", "-l", "app=early", "--wait=false")
        place.kubectl.run("apply", "--server-side", "--field-manager", "gitops", "-f", "-", stdin=manifest)
        differences = place.kubectl.run("diff", "--server-side", "--field-manager", "gitops", "-f", "-", stdin=manifest)
        assert differences == ""
        time.sleep(GITOPS_EVERY)
    assert place.kubectl.get("deployment", "early")["metadata"]["generation"] == generation
    place.serves_tuned(place.ready("early"))


def test_without_the_operator_pods_are_injected_within_seconds(place: Place) -> None:
    """Case 10: the policy is in the API server; the pod is created within seconds, and serves tuned."""
    system = place.kubectl.within(install.SYSTEM)
    system.run("scale", "deployment/hipbmm-operator", "--replicas=0")
    wait.until("the operator is gone", lambda: not system.items("pods") or None, 300)
    try:
        meta = {"name": "alone", "labels": {"app": "alone", LABEL: PROFILE}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": with_command(place.image)}
        began = time.monotonic()
        place.kubectl.apply(body)
        assert time.monotonic() - began < 10
        place.serves_tuned(place.ready("alone"))
    finally:
        system.run("scale", "deployment/hipbmm-operator", "--replicas=1")
        system.run("rollout", "status", "deployment/hipbmm-operator", "--timeout=300s", timeout=310)
    place.kubectl.run("delete", "pod", "alone")


def other_program(directory: Path) -> bytes:
    """The kernel program with one file more: another program for all who compare its sha256."""
    path = directory / "hipbmm_kernel.zip"
    command = [sys.executable, "-m", "hipbmm_kernel", "payload", "--zip", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    data = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("another.txt", "another program")
    return data.getvalue()


def kernel_of(pod: Json) -> str:
    """The sha256 that a pod was born with."""
    return str(next(each["command"][4] for each in pod["spec"]["initContainers"] if each["name"] == foreign.WARM))


def test_another_program_reaches_new_pods_only_and_the_former_one_can_come_back(place: Place, tmp_path: Path) -> None:
    """Case 24: no pod that runs is touched; the next pod has the other program, after a trial; and back."""
    data = other_program(tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    before = place.ready("early")
    own = kernel_of(before)
    file = tmp_path / "hipbmm_kernel.zip"
    file.write_bytes(data)
    name = f"hipbmm-kernel-{sha256[:12]}"
    place.kubectl.run("create", "configmap", name, f"--from-file={file}")
    place.kubectl.run("patch", "configmap", name, "-p", '{"immutable": true}')

    place.profile(PROFILE, pin=sha256)
    assert place.ready("early")["metadata"]["uid"] == before["metadata"]["uid"]
    pod = replaced(place, "early", foreign.is_injected)
    assert kernel_of(pod) == sha256
    assert place.python(pod, "print(open('/hipbmm/kernel/another.txt').read())").strip() == "another program"
    place.serves_tuned(pod)
    place.proved(PROFILE)
    (trial,) = place.status(PROFILE)["canaries"]
    assert (trial["kernel"], trial["pod"]) == (sha256, pod["metadata"]["name"])

    place.profile(PROFILE)
    assert place.ready("early")["metadata"]["uid"] == pod["metadata"]["uid"]
    assert kernel_of(replaced(place, "early", foreign.is_injected)) == own
    place.proved(PROFILE)


def test_an_uninstalled_chart_leaves_pods_running_and_the_next_one_is_plain(place: Place, cluster: Cluster) -> None:
    """Case 24: and the chart that comes back goes on with what there is."""
    before = place.ready("early")
    place.serves_tuned(before)
    helm(cluster, "uninstall", "hipbmm-operator", "--wait")
    try:
        place.serves_tuned(place.ready("early"))
        place.until("admission to know that the policy is gone", lambda: not place.injects(PROFILE) or None)
        place.serves_plain(replaced(place, "early", lambda pod: "initContainers" not in pod["spec"]))
    finally:
        install.operator(cluster)
    place.profile(PROFILE)
    place.serves_tuned(replaced(place, "early", foreign.is_injected))


def helm(cluster: Cluster, *arguments: str) -> None:
    """Run helm in the operator's namespace."""
    command = [cluster.helm, *arguments, "--kubeconfig", cluster.kubectl.kubeconfig, "--namespace", install.SYSTEM]
    subprocess.run(command, check=True, capture_output=True, env=environment())


def test_nobody_waits_for_the_profile_to_be_deleted(place: Place) -> None:
    """Removing: the profile's ConfigMaps go with it, and the pod that mounts them starts again all the same."""
    pod = place.ready("early")
    place.kubectl.run("delete", "hipbmmprofile", PROFILE, "--wait=true")

    def gone() -> bool | None:
        names = [each["metadata"]["name"] for each in place.kubectl.items("configmaps")]
        return f"{PROFILE}-profile-mirror" not in names or None

    place.until("the mirror is gone", gone)
    place.serves_tuned(place.ready("early"))
    assert place.ready("early")["metadata"]["uid"] == pod["metadata"]["uid"]
    place.serves_plain(replaced(place, "early", lambda found: not foreign.is_injected(found)))
