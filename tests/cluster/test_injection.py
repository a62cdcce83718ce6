"""Admission of foreign pods: the policy and the webhook give the same pods, and the right ones."""

import concurrent.futures
import copy
import itertools
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import stacks
from tests.cluster import injection, shapes, unusual
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.operator_process import NAMESPACE
from tests.cluster.two_admissions import Two, both, placed

from hipbmm_operator.injection import registration
from hipbmm_operator.kube.kinds import DEPLOYMENT, HIPBMM_PROFILE, POD, Kind

Json = dict[str, Any]


@pytest.fixture(scope="module")
def ways(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with both(api, tmp_path_factory.mktemp("webhook")) as found:
        yield found


@pytest.fixture
def two(ways: Two) -> Two:
    """With the usual profile, whatever the test before has left."""
    if ways.profiles != [stacks.profile(place) for place in (ways.policy, ways.webhook)]:
        ways.put()
    return ways


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_policy_and_webhook_give_the_same_pod(two: Two, stack: str) -> None:
    policy, webhook, plain = two.made(stacks.asking(stack))
    assert json.dumps(policy) == json.dumps(webhook)
    assert "hipbmm-warm" in [each["name"] for each in policy["initContainers"]]
    assert policy != plain


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_twice_is_once(two: Two, stack: str) -> None:
    once = injection.dry(two.api, placed(stacks.asking(stack), two.policy))
    again = {key: once[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    again["metadata"] = {key: once["metadata"][key] for key in ("labels", "namespace")} | {"generateName": "again-"}
    assert two.made(again)[0] == injection.comparable(once)
    assert two.made(again)[1] == injection.comparable(once)


@pytest.mark.parametrize("change", shapes.INJECTED + unusual.INJECTED, ids=lambda change: change.__name__)
def test_a_pod_of_any_shape_is_admitted_and_injected(two: Two, change: shapes.Change) -> None:
    for stack in ("deployment", "deployment-args"):
        policy, webhook, plain = two.made(shapes.changed(stacks.asking(stack), change))
        assert json.dumps(policy) == json.dumps(webhook)
        assert "hipbmm-warm" in [each["name"] for each in policy["initContainers"]]
        kept = {each["name"]: each for each in policy["containers"]}
        assert list(kept) == [each["name"] for each in plain["containers"]]
        for each in plain["containers"]:
            own = {"command", "env", "volumeMounts"} if "hipbmm-home" in json.dumps(kept[each["name"]]) else set()
            assert {key: kept[each["name"]].get(key) for key in each.keys() - own} == {
                key: value for key, value in each.items() if key not in own
            }


@pytest.mark.parametrize("change", [*shapes.LEFT, *unusual.LEFT], ids=lambda change: change.__name__)
def test_a_pod_that_is_left_is_as_without_us(two: Two, change: shapes.Change) -> None:
    policy, webhook, plain = two.made(shapes.changed(stacks.asking("deployment"), change))
    assert json.dumps(policy) == json.dumps(webhook) == json.dumps(plain)


def test_a_large_pod_is_stored(two: Two, api: Api) -> None:
    """A dry run stores nothing: etcd has a limit of its own."""
    for count in (24, 100):
        for place in (two.policy, two.webhook):
            pod = placed(stacks.asking("deployment"), place)
            del pod["metadata"]["ownerReferences"]
            pod["spec"]["containers"][0]["env"] = [{"name": f"V{i}", "value": "x" * 10_000} for i in range(count)]
            made = api.create(POD, pod)
            assert ("hipbmm-warm" in json.dumps(made["spec"].get("initContainers", []))) is (count == 24)
            api.delete(POD, place, made["metadata"]["name"], 0)


def test_a_pod_that_nobody_else_changes_is_evaluated_once(two: Two, api: Api) -> None:
    evaluated = 'apiserver_mutating_admission_policy_check_total{error_type="no_error",policy="hipbmm-test-label"'
    for stack, times in (("production-stack", 1), ("deployment-args", 1), ("kuberay-worker", 2)):
        before = api.sample(evaluated)
        made = injection.dry(api, placed(stacks.asking(stack), two.policy))
        assert api.sample(evaluated) - before == times
        for each in made["spec"]["initContainers"]:
            if each["name"] == "hipbmm-harvest":
                assert "kube-api-access" not in json.dumps(each)


def test_a_container_of_an_injected_pod_to_look_into_it(two: Two, api: Api) -> None:
    """An ephemeral container is added as to any pod, and nothing else changes."""
    pod = placed(stacks.asking("deployment"), two.policy)
    del pod["metadata"]["ownerReferences"]  # an owner that is not there: the pod would be deleted
    made = api.create(POD, pod)
    name = made["metadata"]["name"]
    server = made["spec"]["containers"][0]["name"]
    looking = {"name": "look", "image": "registry.example/busybox:1", "targetContainerName": server}
    after = api.merge(POD, two.policy, name, {"spec": {"ephemeralContainers": [looking]}}, "ephemeralcontainers")
    assert [each["name"] for each in after["spec"].pop("ephemeralContainers")] == ["look"]
    assert after["spec"] == made["spec"]
    api.delete(POD, two.policy, name, 0)


@pytest.mark.parametrize("name", ["aaa-kserve", "zzz-kserve"])
def test_warm_comes_after_what_another_webhook_adds(two: Two, api: Api, tmp_path: Path, name: str) -> None:
    pod = stacks.asking("kserve")
    del pod["spec"]["initContainers"]
    pod["spec"]["containers"][0]["volumeMounts"] = []
    pod["spec"]["volumes"] = []
    pod["metadata"]["labels"]["another"] = "webhook"
    with injection.another_webhook(api, tmp_path, name, injection.like_kserve):
        until("that webhook", lambda: "storage-initializer" in json.dumps(two.made(pod)[2]))
        policy, webhook, _ = two.made(pod)
    for made in (policy, webhook):
        order = [each["name"] for each in made["initContainers"]]
        assert order == ["storage-initializer", "hipbmm-warm"]
        warm = made["initContainers"][1]
        assert "/mnt/models" in [mount["mountPath"] for mount in warm["volumeMounts"]]


@pytest.mark.parametrize("name", ["aaa-images", "zzz-images"])
@pytest.mark.parametrize("parts", [("containers",), ("containers", "initContainers")])
def test_an_image_under_trial_is_known_by_the_name_that_another_webhook_gives_it(
    two: Two, api: Api, tmp_path: Path, name: str, parts: tuple[str, ...]
) -> None:
    two.put(heldImages=[injection.MIRRORED])
    pod = stacks.asking("deployment")
    pod["metadata"]["labels"]["another"] = "webhook"
    with injection.another_webhook(api, tmp_path, name, lambda found: injection.with_mirrored_image(found, *parts)):
        until("that webhook", lambda: injection.MIRRORED in json.dumps(two.made(pod)[2]))
        policy, webhook, plain = two.made(pod)
    assert json.dumps(policy) == json.dumps(webhook) == json.dumps(plain)


def _quota(**hard: str) -> Json:
    return {"kind": "ResourceQuota", "spec": {"hard": {name.replace("__", "."): value for name, value in hard.items()}}}


def _limits(**bounds: Json) -> Json:
    return {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", **bounds}]}}


GPU = "requests.amd.com/gpu"
BOUNDS = [
    pytest.param(_quota(**{"limits.cpu": "20", "limits.memory": "40G"}), id="quota"),
    pytest.param(_quota(**{GPU: "1"}), id="gpu-quota"),
    pytest.param(_limits(min={"memory": "200Mi"}, max={"memory": "64Gi"}), id="least"),
    pytest.param(_limits(maxLimitRequestRatio={"cpu": "6", "memory": "4"}), id="ratio"),
    pytest.param(_limits(default={"cpu": "10", "memory": "20G"}, defaultRequest={"cpu": "2"}), id="default"),
]


@pytest.mark.parametrize("rule", BOUNDS)
def test_a_namespace_that_bounds_pods_admits_an_injected_one(two: Two, api: Api, rule: Json) -> None:
    # The sidecar is left out where the preflight is refused with it.
    two.put(harvest=None)
    kind = Kind("", "v1", f"{rule['kind'].lower()}s", rule["kind"])
    pod = stacks.asking("deployment")
    body = {"apiVersion": "v1", **rule, "metadata": {"name": "bounds"}}
    used = [_used_by(api, kind, placed(body, place), placed(pod, place)) for place in (two.policy, two.plain)]
    assert used[0] == used[1]


def _used_by(api: Api, kind: Kind, rule: Json, pod: Json) -> Json:
    """Create a pod under a rule: what the quota counts of it; nothing where the rule is none."""
    place, quota = rule["metadata"]["namespace"], rule["kind"] == "ResourceQuota"

    def counted() -> tuple[Json] | None:
        made = _admitted(api, pod)
        if made is None:
            return None
        # The quota's own first count may come after the pod's and not know it: then a pod is made again.
        used = _used(api, kind, place, rule) if quota else {}
        api.delete(POD, place, made["metadata"]["name"], 0)
        return None if used is None else (used,)

    api.create(kind, rule)
    try:
        if quota:
            until("the quota", lambda: api.get(kind, place, "bounds").get("status", {}).get("hard"))
        return until("a pod that counts", counted)[0]
    finally:
        api.delete(kind, place, "bounds")


def _admitted(api: Api, pod: Json) -> Json | None:
    try:
        return api.create(POD, pod)
    except ApiStatusError as error:
        # A quota that was just made is not known at once.
        if "status unknown for quota" in error.message:
            return None
        raise


def _used(api: Api, kind: Kind, place: str, rule: Json) -> Json | None:
    found: Json = api.get(kind, place, "bounds")["status"]["used"]
    return {name: found[name] for name in rule["spec"]["hard"]} if all(v != "0" for v in found.values()) else None


ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.mark.parametrize("stack", ["deployment-args", "kserve-llm"])
def test_a_restricted_namespace_admits_an_injected_pod(two: Two, api: Api, stack: str) -> None:
    two.label(ENFORCE, "restricted", lambda place: injection.restricted(api, place))
    pod = stacks.asking(stack)
    for each in pod["spec"].get("initContainers", []):
        each["securityContext"] = pod["spec"]["containers"][0]["securityContext"]
    for made in two.made(pod)[:2]:
        order = [each["name"] for each in made["initContainers"]]
        # The other one is Guaranteed, and stays so.
        assert ("hipbmm-harvest" in order) == (stack == "deployment-args")
        assert "hipbmm-warm" in order
    two.label(ENFORCE, None, lambda place: not injection.restricted(api, place))


def _second_gpu(pod: Json) -> None:
    second = copy.deepcopy(pod["spec"]["containers"][0])
    pod["spec"]["containers"].append({**second, "name": "second"})


def _no_gpu(pod: Json) -> None:
    pod["spec"]["containers"][0]["resources"] = {}


def _skip(pod: Json) -> None:
    pod["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}


def _unknown_profile(pod: Json) -> None:
    pod["metadata"]["labels"]["hipbmm.io/profile"] = "unknown"


def _as_it_is(pod: Json) -> None:
    assert pod["metadata"]["labels"]["hipbmm.io/profile"] == stacks.PROFILE


PLAIN = [
    pytest.param(_second_gpu, {}, id="two-gpu-containers"),
    pytest.param(_no_gpu, {}, id="no-gpu-container"),
    pytest.param(_skip, {}, id="skip"),
    pytest.param(_unknown_profile, {}, id="unknown-profile"),
    pytest.param(_as_it_is, {"ready": False}, id="not-ready"),
    pytest.param(_as_it_is, {"format": 2}, id="another-format"),
    pytest.param(_as_it_is, {"heldImages": ["registry.example/vllm-openai-rocm:v0.23.0"]}, id="held"),
]


@pytest.mark.parametrize(("change", "recipe"), PLAIN)
def test_a_pod_that_is_not_injected_is_as_without_us(two: Two, change: Callable[[Json], None], recipe: Json) -> None:
    two.put(**recipe)
    pod = stacks.asking("deployment")
    change(pod)
    policy, webhook, plain = two.made(pod)
    assert json.dumps(policy) == json.dumps(plain)
    assert json.dumps(webhook) == json.dumps(plain)


def test_labels_of_a_stack_choose_a_pod_where_the_namespace_allows_it(two: Two, api: Api) -> None:
    for place in (two.policy, two.webhook):
        body = stacks.profile(place, spec={"match": {"podLabels": {"app": "model"}}})
        injection.put_profile(api, body)
        two.profiles[:] = [each for each in two.profiles if each["metadata"]["namespace"] != place] + [body]
    pod = stacks.pod("kubeai")

    def injects(place: str) -> bool:
        return "hipbmm-warm" in json.dumps(injection.dry(api, placed(pod, place)))

    until("the policy", lambda: injects(two.policy))
    policy, webhook, _ = two.made(pod)
    assert json.dumps(policy) == json.dumps(webhook)
    two.label("hipbmm.io/injection", None, lambda place: not injects(place))
    policy, webhook, plain = two.made(pod)
    assert policy == webhook == plain
    two.label("hipbmm.io/injection", "enabled", injects)


def test_a_recipe_that_lacks_a_field_is_refused(two: Two, api: Api) -> None:
    with pytest.raises(ApiStatusError, match="kernel"):
        injection.put_profile(api, stacks.profile(two.policy, name="broken", kernel=None))
    assert "hipbmm-warm" in json.dumps(two.made(stacks.asking("deployment"))[0])


@pytest.fixture
def dead_webhook(two: Two, api: Api, tmp_path: Path) -> Iterator[str]:
    """A webhook whose endpoint takes connections and never answers."""
    certificate, _ = injection.certify(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = injection.namespace(api, f"dead-{uuid.uuid4().hex[:8]}", "dead")
        body = injection.webhook("zz-dead", silent.getsockname()[1], certificate)
        for each in body["webhooks"]:
            each["namespaceSelector"] = {"matchLabels": {injection.BY: "dead"}}
        api.apply(injection.WEBHOOK, body)
        yield place
        api.delete(injection.WEBHOOK, "", "zz-dead")
        api.delete(NAMESPACE, "", place)


def test_a_webhook_that_never_answers_costs_two_seconds(two: Two, api: Api, dead_webhook: str) -> None:
    pod = placed(stacks.asking("deployment"), dead_webhook)

    def waited() -> bool:
        """Whether a pod took as long; it takes less while the API server does not know the webhook yet."""
        started = time.monotonic()
        assert "hipbmm-warm" not in json.dumps(injection.dry(api, pod)["spec"])
        return registration.SECONDS <= time.monotonic() - started < 10

    # Its own two seconds, not the ten that a webhook has by default: a busy machine may add some, but not each time.
    until("a pod to take two seconds", waited)


_CREATED = 40


def test_no_pod_is_refused_while_its_profile_comes_and_goes(two: Two, api: Api) -> None:
    changes: list[Json] = [{"ready": False}, {}, {"mirrors": None, "harvest": None}, {"modes": ["Wrap"]}]
    done = threading.Event()

    def churn() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            injection.put_profile(api, stacks.profile(two.policy, **changes[number % len(changes)]))
            if number % 3 == 2:
                api.delete(HIPBMM_PROFILE, two.policy, stacks.PROFILE)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        churned = pool.submit(churn)
        seen: set[bool] = set()
        try:
            for number in itertools.count():
                if number >= _CREATED and len(seen) == 2:  # both kinds
                    break
                spec = injection.dry(api, placed(stacks.asking("deployment"), two.policy))["spec"]
                parts = json.dumps(spec["containers"]), json.dumps(spec["volumes"])
                whole = "hipbmm-warm" in [each["name"] for each in spec.get("initContainers", [])]
                assert {"hipbmm-home" in part for part in parts} == {whole}
                seen.add(whole)
        finally:
            done.set()
        churned.result(180)
    two.put()


@pytest.mark.parametrize(
    ("rounds", "seconds"),
    [(5, 0), pytest.param(30, 10, marks=[pytest.mark.long, pytest.mark.timeout(600)], id="five-minutes")],
)
def test_the_owner_s_manifest_applied_again_changes_nothing(two: Two, api: Api, rounds: int, seconds: float) -> None:
    template = stacks.asking("deployment")
    template["metadata"] = {"labels": {"app": "git", "hipbmm.io/profile": stacks.PROFILE}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "git"}}, "template": template}
    for key in ("apiVersion", "kind"):
        del template[key]
    metadata = {"name": "git", "namespace": two.policy}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    first = api.apply(DEPLOYMENT, body, "gitops")
    until("an injected pod", lambda: "hipbmm-warm" in json.dumps(_pods(api, two.policy)))
    for _ in range(rounds):
        time.sleep(seconds)
        again = api.apply(DEPLOYMENT, body, "gitops")
        assert again["metadata"]["generation"] == first["metadata"]["generation"]
        assert again["spec"] == first["spec"]
        for made in _pods(api, two.policy):
            api.delete(POD, two.policy, made["metadata"]["name"], 0)
    api.delete(DEPLOYMENT, two.policy, "git")
    until("its pods to go", lambda: not _pods(api, two.policy))


def _pods(api: Api, namespace: str) -> list[Json]:
    return api.items(POD, namespace, "app=git")


def test_only_who_may_write_the_status_can_make_pods_run_a_program(two: Two, api: Api) -> None:
    body = stacks.profile(two.policy, name="mine")
    injection.put_profile(api, {**body, "status": {"observedGeneration": 1}})
    stored = api.apply(HIPBMM_PROFILE, body)
    assert "injection" not in stored["status"]
