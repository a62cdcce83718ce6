"""HipbmmProfiles with the operator, the policy and real pods; a stand-in plays the kubelet."""

import base64
import copy
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests import stacks
from tests.cluster import injection, kstatus
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.conftest import Cluster
from tests.cluster.kubelet import Kubelet, ended, report, running
from tests.cluster.operator_process import NAMESPACE, OperatorProcess

from hipbmm_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, HIPBMM_PROFILE, LIMIT_RANGE, POD

Json = dict[str, Any]
CREATE_ERROR = {"state": {"waiting": {"reason": "RunContainerError", "message": '"sh": executable file not found'}}}


class Place:
    """One namespace that an operator serves, where the policy injects pods."""

    def __init__(self, api: Api, kubelet: Kubelet, namespace: str, sha256: str) -> None:
        self.api = api
        self.kubelet = kubelet
        self.namespace = namespace
        self.sha256 = sha256

    def profile(self, name: str, **spec: object) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": "hipbmm.io/v1alpha1", "kind": "HipbmmProfile", "metadata": metadata, "spec": spec}
        self.api.apply(HIPBMM_PROFILE, body)

    def status(self, name: str) -> Json:
        return dict(self.api.get(HIPBMM_PROFILE, self.namespace, name).get("status") or {})

    def becomes(self, name: str, what: str, ask: Callable[[Json], object], seconds: float = 180) -> Json:
        """Wait until the status of the current spec is so."""

        def holds() -> Json | None:
            body = self.api.get(HIPBMM_PROFILE, self.namespace, name)
            status = body.get("status") or {}
            current = status.get("observedGeneration") == body["metadata"]["generation"]
            try:
                return status if current and ask(status) else None
            except (KeyError, IndexError):
                return None  # that part of the status is not there yet

        try:
            return until(what, holds, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.status(name))}") from None

    def ready(self, name: str, state: str = "True", reason: str = "Injecting") -> Json:
        """Wait for the condition Ready."""
        return self.becomes(name, f"Ready {reason}", lambda status: _ready(status) == (state, reason))

    def pod(self, profile: str, image: str = "", stack: str = "deployment") -> Json:
        """A pod as its controller makes it, on a node."""
        body = stacks.asking(stack, self.namespace)
        body["metadata"]["labels"]["hipbmm.io/profile"] = profile
        body["metadata"].pop("ownerReferences", None)
        body["spec"]["nodeName"] = "mi300x-a"
        if image:
            body["spec"]["containers"][-1]["image"] = image
        return self.api.create(POD, body)

    def injected_once(self, profile: str, image: str = "") -> Json:
        """The first pod that admission injects: it knows a new profile shortly after the API server has it."""
        return until("an injected pod", lambda: self._or_delete(self.pod(profile, image)))

    def plain(self, profile: str) -> Json:
        """The first pod that admission leaves plain: it knows a change of the profile shortly after the API server."""
        return until("a plain pod", lambda: self._or_delete(self.pod(profile), wanted=False))

    def _or_delete(self, pod: Json, *, wanted: bool = True) -> Json | None:
        if injected(pod) == wanted:
            return pod
        self.api.delete(POD, self.namespace, pod["metadata"]["name"], 0)
        return None

    def serves(self, pod: Json, **changes: object) -> None:
        """`hipbmm-warm` has reported, and the server is ready."""
        up = running(ready=True)
        states = {"hipbmm-warm": ended(0, json.dumps(report(**changes))), "hipbmm-harvest": up, "vllm": up}
        self.kubelet.containers(pod, states, ready=True)


def injected(pod: Json) -> bool:
    return "hipbmm-warm" in [each["name"] for each in pod["spec"].get("initContainers", [])]


def _ready(status: Json) -> tuple[str, str]:
    found: Json = next((each for each in status.get("conditions", []) if each["type"] == "Ready"), {})
    return found.get("status", ""), found.get("reason", "")


@pytest.fixture(scope="module")
def place(api: Api, kubelet: Kubelet, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    scratch, mark = tmp_path_factory.mktemp("profiles"), uuid.uuid4().hex[:8]
    system = f"profiles-system-{mark}"
    api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}})
    with injection.policies(api):
        labels = {"hipbmm.io/injection": "enabled"}
        namespace = injection.namespace(api, f"profiles-{mark}", "policy", **labels)
        program = injection.kernel_zip(scratch)
        credentials = injection.operator_identity(api, cluster.kubeconfig, system, namespace, scratch)
        process = OperatorProcess(
            credentials,
            system,
            scratch / "operator.log",
            HIPBMM_NAMESPACES=namespace,
            HIPBMM_INJECTION_NAME="hipbmm-test",
            HIPBMM_INJECTION_SECONDS="0.5",
            HIPBMM_KERNEL_ZIP=str(program),
        )
        yield Place(api, kubelet, namespace, hashlib.sha256(program.read_bytes()).hexdigest())
        assert process.defects() == []
        process.retire()
        for each in (namespace, system):
            api.delete(NAMESPACE, "", each)
        until("the pods to go, for the next tests need the GPUs", lambda: not api.items(POD, namespace))


def test_a_profile_becomes_ready_with_its_program(place: Place) -> None:
    place.profile("first")
    status = place.becomes(
        "first", "Ready with a recipe", lambda s: _ready(s) == ("True", "Injecting") and s["injection"]
    )
    recipe = status["injection"]
    assert status["admission"] == "Policy"
    assert recipe["kernel"]["sha256"] == place.sha256
    stored = place.api.get(CONFIG_MAP, place.namespace, recipe["kernel"]["configMap"])
    data = base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"])
    assert hashlib.sha256(data).hexdigest() == place.sha256
    assert stored["immutable"] is True
    assert len(data) <= 300_000
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert conditions["AdmissionReady"] == ("True", "PolicyInstalled")
    assert conditions["ConfigValid"] == ("True", "Valid")
    assert conditions["PreflightPassed"] == ("True", "PreflightDone")
    assert "harvest" in recipe


def test_a_pod_is_counted_from_birth_to_warm(place: Place) -> None:
    place.profile("counted")
    place.ready("counted")
    pod = place.injected_once("counted")
    place.kubelet.containers(pod, {"hipbmm-warm": running()}, phase="Pending")
    place.becomes("counted", "a trial", lambda s: [c["state"] for c in s.get("canaries", [])] == ["Testing"])
    place.plain("counted")
    place.serves(pod)
    warm = {"injected": 1, "warm": 1, "warmProgress": "1/1"}
    status = place.becomes(
        "counted",
        "a warm pod that proves its image",
        lambda s: warm.items() <= s["pods"].items() and [c["state"] for c in s["canaries"]] == ["Proved"],
    )
    assert status["tuning"]["progress"] == "204/204"
    assert status["tuning"]["geomeanSpeedup"] == "1.11"
    place.becomes(
        "counted",
        "why the other is plain",
        lambda s: {each["reason"] for each in s["workloads"] if each["notInjected"]} == {"Predates"},
    )
    place.injected_once("counted")


def test_a_pod_of_the_largest_size_that_a_namespace_allows_is_admitted(place: Place) -> None:
    """Before any of them is there, so that no dry run can have found it."""
    rule = {"type": "Pod", "max": {"cpu": "2", "memory": "2Gi"}, "maxLimitRequestRatio": {"cpu": "2"}}
    metadata = {"name": "largest", "namespace": place.namespace}
    place.api.create(LIMIT_RANGE, LIMIT_RANGE.body(metadata, spec={"limits": [rule]}))
    try:
        place.profile("largest")
        place.ready("largest")
        body = stacks.asking("deployment", place.namespace)
        body["metadata"]["labels"]["hipbmm.io/profile"] = "largest"
        del body["metadata"]["ownerReferences"]
        (server,) = body["spec"]["containers"]
        limits = {"amd.com/gpu": "1", "cpu": "2", "memory": "2Gi"}
        server["resources"] = {"limits": limits, "requests": {**limits, "cpu": "1"}}
        found = until("an injected pod", lambda: place._or_delete(place.api.create(POD, body)))
        assert "hipbmm-harvest" not in json.dumps(found["spec"])
    finally:
        place.api.delete(LIMIT_RANGE, place.namespace, "largest")


@pytest.mark.long
def test_while_a_trial_waits_for_gpus_another_pod_of_its_image_may_be_it(place: Place) -> None:
    place.profile("waits", preflight=False)
    place.ready("waits")
    image = "registry.example/waits:1"

    def made(**node: str) -> Json | None:
        body = stacks.asking("deployment", place.namespace)
        body["metadata"]["labels"]["hipbmm.io/profile"] = "waits"
        del body["metadata"]["ownerReferences"]
        body["spec"] |= node
        body["spec"]["containers"][-1]["image"] = image
        body["spec"]["containers"][-1]["resources"] = {"limits": {"amd.com/gpu": "1" if node else "999"}}
        return place._or_delete(place.api.create(POD, body))

    def trial(state: str, pod: Json) -> None:
        wanted = [(image, state, pod["metadata"]["name"])]
        place.becomes(
            "waits", f"a trial {state}", lambda s: [(c["image"], c["state"], c["pod"]) for c in s["canaries"]] == wanted
        )

    first = until("an injected pod", made)
    trial("Testing", first)
    second = until("another one", lambda: made(nodeName="mi300x-a"), 180)
    place.serves(second)
    trial("Proved", second)
    until("a third one", lambda: made(nodeName="mi300x-a"))


def test_three_stuck_pods_end_it(place: Place) -> None:
    place.profile("breaks", preflight=False)
    place.ready("breaks")
    names = set()
    for number in range(3):
        pod = place.injected_once("breaks", f"registry.example/v:{number}")
        place.kubelet.containers(pod, {"hipbmm-warm": CREATE_ERROR}, phase="Pending")
        names.add(pod["metadata"]["name"])
    status = place.becomes(
        "breaks",
        "the end of it",
        lambda s: _ready(s) == ("False", "Suspended") and set(s["tripped"]["pods"]) == names,
    )
    assert status["injection"]["ready"] is False
    message = next(each["message"] for each in status["conditions"] if each["type"] == "Ready")
    assert all(name in message for name in names)
    assert "executable file not found" in message
    assert kstatus.compute(place.api.get(HIPBMM_PROFILE, place.namespace, "breaks")) == "Failed"
    place.plain("breaks")

    # The pods first, as the message says: seen once more, they would end the new try as well.
    for name in names:
        place.api.delete(POD, place.namespace, name, 0)
    until("the pods to go", lambda: names.isdisjoint(_names(place)))
    place.profile("breaks", preflight=False, tuning={"budgetSeconds": 60})
    place.ready("breaks")


def test_what_takes_the_place_of_a_stuck_pod_is_plain(place: Place) -> None:
    """Another workload has proved the image."""
    place.profile("replaced", preflight=False)
    place.ready("replaced")
    place.serves(place.injected_once("replaced"))
    place.becomes("replaced", "a proof", lambda s: [each["state"] for each in s.get("canaries", [])] == ["Proved"])
    place.kubelet.containers(place.injected_once("replaced"), {"hipbmm-warm": CREATE_ERROR}, phase="Pending")
    place.plain("replaced")


def _names(place: Place) -> set[str]:
    return {each["metadata"]["name"] for each in place.api.items(POD, place.namespace)}


def test_a_workload_hears_why_its_pods_are_plain(place: Place) -> None:
    place.profile("hears")
    place.ready("hears")
    template = stacks.asking("deployment", place.namespace)
    template["metadata"] = {
        "labels": {"app": "hears", "hipbmm.io/profile": "hears"},
        "annotations": {"hipbmm.io/skip": "true"},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "hears"}}, "template": template}
    metadata = {"name": "hears", "namespace": place.namespace}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    made = place.api.create(DEPLOYMENT, body)
    wanted = {"kind": "Deployment", "name": "hears", "reason": "Skipped"}

    def shown(status: Json) -> bool:
        # A pod that its owner leaves out is not missing.
        first: Json = status["workloads"][0]
        return wanted.items() <= first.items() and bool(status["pods"]["progress"] == "0/0")

    place.becomes("hears", "the workload", shown)

    def told() -> bool:
        events = place.api.items(EVENT, place.namespace)
        uid = made["metadata"]["uid"]
        return any(each["reason"] == "NotInjected" and each["involvedObject"].get("uid") == uid for each in events)

    until("the Event", told)
    assert place.api.get(DEPLOYMENT, place.namespace, "hears")["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("spec", "ready", "reason"),
    [
        ({"suspend": True}, "True", "Suspended"),
        ({"pin": "f" * 64}, "False", "KernelUnavailable"),
        ({"match": {"podLabels": {"no key": "x"}}}, "False", "InvalidSpec"),
        ({"cache": {"pvc": {"claimName": "absent"}}}, "False", "ClaimNotFound"),
    ],
)
def test_a_profile_that_cannot_be_used_leaves_pods_plain(place: Place, spec: Json, ready: str, reason: str) -> None:
    name = f"not-{reason.lower()}"
    place.profile(name, **spec)
    place.ready(name, ready, reason)
    assert not injected(place.pod(name))
    place.profile(name)
    place.ready(name)


def test_two_profiles_for_the_same_pods_are_in_conflict(place: Place) -> None:
    place.profile("one", match={"podLabels": {"app": "model"}})
    place.ready("one")
    place.profile("other", match={"podLabels": {"model": "qwen"}})
    place.ready("one", "False", "Conflict")
    place.ready("other", "False", "Conflict")
    pod = stacks.pod("kubeai", place.namespace)
    until("a plain pod", lambda: not injected(injection.dry(place.api, pod)))
    place.profile("other", match={"podLabels": {"app": "another"}})
    place.ready("one")
    until("an injected pod", lambda: injected(injection.dry(place.api, pod)))
    place.api.delete(HIPBMM_PROFILE, place.namespace, "one")
    place.api.delete(HIPBMM_PROFILE, place.namespace, "other")


def test_another_program_in_the_map_is_replaced(place: Place) -> None:
    place.profile("guarded")
    status = place.becomes("guarded", "a recipe", lambda s: _ready(s) == ("True", "Injecting") and s["injection"])
    name = status["injection"]["kernel"]["configMap"]
    forged = copy.deepcopy(place.api.get(CONFIG_MAP, place.namespace, name))
    with pytest.raises(ApiStatusError):
        place.api.merge(CONFIG_MAP, place.namespace, name, {"binaryData": {"hipbmm_kernel.zip": "AAAA"}})
    forged["metadata"] = {"name": name, "namespace": place.namespace}
    forged["binaryData"] = {"hipbmm_kernel.zip": "AAAA"}

    def made() -> bool:
        """Whether it took the place of the right one before the operator made that again."""
        place.api.delete(CONFIG_MAP, place.namespace, name)
        try:
            place.api.create(CONFIG_MAP, forged)
        except ApiStatusError as error:
            if error.status != 409:
                raise
            return False
        return True

    until("the other program to be there", made)

    def right() -> bool:
        found = place.api.find(CONFIG_MAP, place.namespace, name)
        data = base64.b64decode(found["binaryData"]["hipbmm_kernel.zip"]) if found else b""
        return hashlib.sha256(data).hexdigest() == place.sha256

    until("the right program", right)


def test_preflight_finds_what_would_refuse_an_injected_pod(place: Place) -> None:
    words, probe = "this namespace allows no init containers", stacks.pod("kserve", place.namespace)
    with injection.forbidding(place.api, place.namespace, "!has(object.spec.initContainers)", words, probe):
        place.profile("forbidden")
        status = place.ready("forbidden", "False", "PreflightRefused")
        assert words in next(each["message"] for each in status["conditions"] if each["type"] == "Ready")
        assert not injected(place.pod("forbidden"))


@pytest.mark.long
def test_a_pod_that_only_a_policy_for_its_workload_refuses_is_plain_next(place: Place) -> None:
    """No dry run is like it, and it is not there to be counted: what its controller says is all that is known."""
    place.profile("met")
    place.ready("met")
    place.injected_once("met", "registry.example/another:1")
    labels = {"app": "checked", "hipbmm.io/profile": "met"}
    pod = stacks.pod("deployment", place.namespace)
    asked = {**pod, "metadata": {**pod["metadata"], "labels": {"app": "checked"}}}
    asked["spec"] = {**pod["spec"], "initContainers": [{"name": "hipbmm-warm", "image": "x"}]}
    selector: Json = {"matchLabels": {"app": "checked"}}
    allowed = "object.spec.?initContainers.orValue([]).all(c, c.name != 'hipbmm-warm')"
    with injection.forbidding(
        place.api, place.namespace, allowed, "hipbmm-warm has no place here", asked, objectSelector=selector
    ):
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        spec = {"replicas": 1, "selector": selector, "template": template}
        about = {"name": "checked", "namespace": place.namespace}
        place.api.create(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec})
        place.ready("met", "False", "PreflightRefused")

        def created() -> list[Json]:
            pods = place.api.items(POD, place.namespace)
            return [each for each in pods if each["metadata"]["labels"].get("app") == "checked"]

        found = until("a pod", created, 300)
        assert not any(injected(each) for each in found)
        place.api.delete(DEPLOYMENT, place.namespace, "checked")
        until("no pod", lambda: not created())
