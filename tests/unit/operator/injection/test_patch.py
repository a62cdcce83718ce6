"""The table run in Python: which pods are injected, with what, and that it changes nothing else."""

import copy
import json
import re
from typing import Any

import jsonpatch
import pytest
from tests import stacks
from tests.cluster import shapes, unusual

from hipbmm_operator.injection import patch, scripts, spelling

Json = dict[str, Any]
EVERY = pytest.mark.parametrize("stack", stacks.STACKS)


def injected(pod: Json, profile: Json | None = None) -> Json:
    done: Json = jsonpatch.apply_patch(pod, patch.operations(pod, profile or stacks.profile()))
    return done


def server(pod: Json) -> Json:
    found: Json = next(
        c for c in pod["spec"]["containers"] if "amd.com/gpu" in c.get("resources", {}).get("limits", {})
    )
    return found


def inits(pod: Json) -> list[str]:
    return [each["name"] for each in pod["spec"]["initContainers"]]


def container(pod: Json, name: str) -> Json:
    found: Json = next(each for each in pod["spec"]["initContainers"] if each["name"] == name)
    return found


@EVERY
def test_twice_is_once(stack: str) -> None:
    once = injected(stacks.asking(stack))
    assert injected(once) == once


@EVERY
def test_another_kernel_replaces_what_a_copied_pod_brings(stack: str) -> None:
    newer = stacks.profile(kernel={"configMap": "newer", "sha256": "f" * 64}, mirrors=None, harvest=None)
    pod = stacks.asking(stack)
    assert injected(injected(pod), newer) == injected(pod, newer)


@EVERY
def test_the_server_keeps_all_that_it_has(stack: str) -> None:
    pod = stacks.asking(stack)
    before, after = server(pod), server(injected(pod))
    for key in before.keys() - {"command", "env", "volumeMounts"}:
        assert after[key] == before[key]
    for key in ("env", "volumeMounts"):
        assert after.get(key, [])[: len(before.get(key, []))] == before.get(key, [])
    if "command" in before:
        assert after["command"][4:] == before["command"]
        assert after["command"][:4] == ["sh", "-c", scripts.SERVER, spelling.MARK]
    else:
        assert "command" not in after
    assert after.keys() - before.keys() <= {"env", "volumeMounts"}


@pytest.mark.parametrize("change", shapes.INJECTED + unusual.INJECTED, ids=lambda change: change.__name__)
def test_the_command_that_starts_is_the_author_s(change: shapes.Change) -> None:
    pod = shapes.changed(stacks.asking("deployment"), change)
    after = injected(pod)
    for before, now in zip(pod["spec"]["containers"], after["spec"]["containers"], strict=True):
        if now != before:
            assert now.get("command", [])[4:] == before.get("command", [])
            assert container(after, spelling.WARM)["command"][5:] == before.get("command", [])


@EVERY
def test_the_other_containers_and_volumes_stay(stack: str) -> None:
    pod = stacks.asking(stack)
    after = injected(pod)
    assert [c for c in after["spec"]["containers"] if c["name"] != server(pod)["name"]] == [
        c for c in pod["spec"]["containers"] if c["name"] != server(pod)["name"]
    ]
    kept = [c for c in after["spec"]["initContainers"] if c["name"] not in spelling.CONTAINERS]
    assert kept == pod["spec"].get("initContainers", [])
    assert [v for v in after["spec"]["volumes"] if v["name"] not in spelling.VOLUMES] == pod["spec"].get("volumes", [])
    assert after["metadata"] == pod["metadata"]
    rest = pod["spec"].keys() - {"containers", "initContainers", "volumes"}
    assert {key: after["spec"][key] for key in rest} == {key: pod["spec"][key] for key in rest}


@EVERY
def test_warm_is_the_server_without_what_only_a_server_has(stack: str) -> None:
    pod = stacks.asking(stack)
    before, warm = server(pod), container(injected(pod), spelling.WARM)
    for key in ("image", "args", "resources", "securityContext", "workingDir", "envFrom", "imagePullPolicy"):
        assert warm.get(key) == before.get(key)
    assert warm["command"][:5] == ["sh", "-c", scripts.WARM, spelling.MARK, stacks.RECIPE["kernel"]["sha256"]]
    assert warm["command"][5:] == before.get("command", [])
    assert warm["env"][: len(before.get("env", []))] == before.get("env", [])
    assert not warm.keys() & {"ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "stdin", "tty"}
    assert "fileKeyRef" not in json.dumps(warm)


@EVERY
def test_nothing_that_is_added_can_fail_to_mount_or_to_pull(stack: str) -> None:
    pod = stacks.asking(stack)
    after = injected(pod)
    for volume in after["spec"]["volumes"]:
        if volume["name"] in spelling.VOLUMES:
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            assert all(s["configMap"]["optional"] for s in sources if "configMap" in s)
            assert volume.keys() <= {"name", "emptyDir", "configMap", "projected"}
    ours = [c for c in after["spec"]["initContainers"] if c["name"] in spelling.CONTAINERS]
    assert {c["image"] for c in ours} == {server(pod)["image"]}


@pytest.mark.parametrize(
    ("stack", "order"),
    [
        ("statefulset", ["fetch", "logs", "hipbmm-warm", "hipbmm-harvest"]),
        ("kserve", ["storage-initializer", "hipbmm-warm"]),
        ("kuberay-worker", ["hipbmm-warm", "wait-gcs-ready"]),
        ("dynamo", ["hipbmm-warm", "wait-for-leader-mp"]),
        ("istio", ["fetch", "hipbmm-warm", "hipbmm-harvest", "istio-init"]),
        ("istio-native", ["istio-init", "istio-proxy", "fetch", "hipbmm-warm", "hipbmm-harvest"]),
        ("lws-leader", ["hipbmm-warm"]),
    ],
)
def test_warm_comes_after_the_model_and_before_what_waits(stack: str, order: list[str]) -> None:
    assert inits(injected(stacks.asking(stack))) == order


@pytest.mark.parametrize("wait", ["wait-gcs-ready", "grove-initc", "wait-for-leader-lws"])
def test_warm_comes_before_what_waits_for_another_pod(wait: str) -> None:
    """Else the two waits add up; Grove appends its own to those of the author."""
    pod = stacks.asking("deployment")
    pod["spec"]["initContainers"] = [{"name": name, "image": "x"} for name in ("fetch", wait)]
    assert inits(injected(pod)) == ["fetch", "hipbmm-warm", "hipbmm-harvest", wait]


@pytest.mark.parametrize(
    ("network", "proxy"),
    [
        ("istio-validation", "istio-proxy"),
        ("linkerd-init", "linkerd-proxy"),
        ("linkerd-network-validator", "linkerd-proxy"),
        ("kuma-init", "kuma-sidecar"),
        ("kuma-validation", "kuma-sidecar"),
        ("consul-connect-inject-init", ""),
    ],
)
def test_warm_runs_before_what_ends_the_network_unless_a_proxy_runs_then(network: str, proxy: str) -> None:
    pod = stacks.asking("deployment")
    pod["spec"]["initContainers"] = [{"name": "fetch", "image": "x"}, {"name": network, "image": "x"}]
    ours = ["hipbmm-warm", "hipbmm-harvest"]
    assert inits(injected(pod)) == ["fetch", *ours, network]
    if proxy:
        pod["spec"]["initContainers"].append({"name": proxy, "image": "x", "restartPolicy": "Always"})
        assert inits(injected(pod)) == ["fetch", network, proxy, *ours]


@pytest.mark.parametrize(
    "label",
    [
        "leaderworkerset.sigs.k8s.io/name",
        "ray.io/cluster",
        "grove.io/podclique",
        "rolebasedgroup.workloads.x-k8s.io/name",
        "rbg.workloads.x-k8s.io/group-name",
        "pod-group.scheduling.sigs.k8s.io/name",
        "modelserving.volcano.sh/name",
    ],
)
def test_a_pod_whose_group_is_made_anew_when_a_container_starts_again_has_no_sidecar(label: str) -> None:
    pod = stacks.asking("deployment")
    pod["metadata"]["labels"][label] = "group"
    assert inits(injected(pod)) == ["hipbmm-warm"]


def test_the_sidecar_has_neither_gpu_nor_secret_nor_volume_of_the_server() -> None:
    harvest = container(injected(stacks.asking("production-stack")), spelling.HARVEST)
    assert harvest["restartPolicy"] == "Always"
    assert harvest["resources"] == stacks.RECIPE["harvest"]["resources"]
    assert not harvest.keys() & {"args", "envFrom", "workingDir", "ports"}
    assert [mount["mountPath"] for mount in harvest["volumeMounts"]] == ["/hipbmm", spelling.TOKEN]
    # Something of ours is at the token's path, so the API server mounts none.
    assert {mount["name"] for mount in harvest["volumeMounts"]} == {spelling.HOME_VOLUME}
    assert {entry["name"] for entry in harvest["env"]} == {
        "HIPBMM_POD_UID",
        "HIPBMM_BUDGET_SECONDS",
        "HIPBMM_PROFILE",
    }


@pytest.mark.parametrize(
    ("more", "bounded"),
    [
        ({}, False),
        ({"limits": {"memory": "4Gi"}}, True),
        ({"limits": {"cpu": "2"}}, True),
        ({"requests": {"memory": "1Gi"}}, True),
        ({"requests": {"ephemeral-storage": "1Gi"}}, False),
    ],
)
def test_a_pod_without_bounds_stays_best_effort(more: Json, bounded: bool) -> None:
    """Its quality of service counts CPU and memory of all its containers, the sidecar's too."""
    pod = stacks.asking("aibrix")
    gpu = {"amd.com/gpu": "1"}
    pod["spec"]["containers"][0]["resources"] = {**more, "limits": gpu | more.get("limits", {})}
    added = container(injected(pod), spelling.HARVEST)["resources"]
    assert added == (stacks.RECIPE["harvest"]["resources"] if bounded else {})
    warm = container(injected(pod), spelling.WARM)["resources"]
    assert warm == pod["spec"]["containers"][0]["resources"]


def test_a_users_variable_is_never_replaced() -> None:
    pod = stacks.asking("deployment-args")
    server(pod)["env"] = [{"name": "PYTHONPATH", "value": "/mine"}, {"name": "HIPBMM_BUDGET_SECONDS", "value": "7"}]
    after = injected(pod)
    names = [entry["name"] for entry in server(after)["env"]]
    assert names.count("PYTHONPATH") == 1
    assert len(names) == len(set(names))
    warm = container(after, spelling.WARM)["env"]
    assert [entry["value"] for entry in warm if entry["name"] == "HIPBMM_BUDGET_SECONDS"] == ["7"]
    assert [entry["value"] for entry in warm if entry["name"] == "HIPBMM_FIXED_ENV"] == ["PYTHONPATH"]


def test_a_server_without_command_gets_its_variables_from_the_file() -> None:
    after = server(injected(stacks.asking("deployment-args")))
    assert [entry["name"] for entry in after["env"]] == list(spelling.ENV_KEYS)
    reference = after["env"][0]["valueFrom"]["fileKeyRef"]
    assert reference == {"volumeName": "hipbmm-home", "path": "env", "key": spelling.ENV_KEYS[0], "optional": True}


def test_older_nodes_need_the_entrypoint() -> None:
    pod = stacks.asking("deployment-args")
    old = stacks.profile(modes=["Wrap"])
    assert patch.why_plain(pod, old) == "EntrypointUnknown"
    assert patch.operations(pod, old) == []
    told = stacks.profile(modes=["Wrap"], entrypoint=["vllm", "serve"])
    after = injected(pod, told)
    assert server(after)["command"][4:] == ["vllm", "serve"]
    assert injected(after, told) == after
    assert injected(stacks.asking("deployment"), old) == injected(stacks.asking("deployment"), told)


def test_claim_and_model_are_mounted_where_the_recipe_has_them() -> None:
    after = injected(stacks.asking("aibrix"), stacks.profile(claim="rows", modelConfig="config"))
    volumes = {volume["name"]: volume for volume in after["spec"]["volumes"]}
    assert volumes["hipbmm-store"]["persistentVolumeClaim"] == {"claimName": "rows"}
    assert volumes["hipbmm-model-config"]["configMap"] == {"name": "config", "optional": True}
    warm = {mount["mountPath"] for mount in container(after, spelling.WARM)["volumeMounts"]}
    assert warm > {"/hipbmm", "/hipbmm/program", "/hipbmm/mirror", "/hipbmm/store", "/hipbmm/model-config"}


def test_annotation_and_profile_choose_the_container() -> None:
    pod = stacks.asking("statefulset")
    pod["metadata"].setdefault("annotations", {})["hipbmm.io/container"] = "metrics"
    other = container(injected(pod, stacks.profile(modes=["EnvFile"])), spelling.WARM)
    assert other["image"] == "registry.example/metrics:1"
    del pod["metadata"]["annotations"]["hipbmm.io/container"]
    chosen = container(injected(pod, stacks.profile(container="metrics", modes=["EnvFile"])), spelling.WARM)
    assert chosen["image"] == "registry.example/metrics:1"


def _two_gpus(pod: Json) -> None:
    pod["spec"]["containers"].append({**copy.deepcopy(server(pod)), "name": "second"})


def _no_gpu(pod: Json) -> None:
    del server(pod)["resources"]


def _mounted(pod: Json) -> None:
    server(pod)["volumeMounts"].append({"name": "cache", "mountPath": "/hipbmm/cache"})


def _volume(pod: Json) -> None:
    pod["spec"]["volumes"].append({"name": "hipbmm-home", "hostPath": {"path": "/data"}})


def _skipped(pod: Json) -> None:
    pod["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}


def _own(pod: Json) -> None:
    pod["metadata"]["labels"]["hipbmm.io/deployment"] = "qwen"


PLAIN = [
    ("SeveralGpuContainers", _two_gpus),
    ("NoGpuContainer", _no_gpu),
    ("NamesTaken", _mounted),
    ("NamesTaken", _volume),
    ("Skipped", _skipped),
    ("Skipped", _own),
]


@pytest.mark.parametrize(("reason", "change"), PLAIN, ids=[change.__name__ for _, change in PLAIN])
def test_a_pod_stays_plain_for_a_reason(reason: str, change: Any) -> None:  # noqa: ANN401  # a function of pods
    pod = stacks.asking("deployment")
    change(pod)
    assert patch.why_plain(pod, stacks.profile()) == reason
    assert patch.operations(pod, stacks.profile()) == []


@pytest.mark.parametrize("change", shapes.LEFT, ids=lambda change: change.__name__)
def test_names_of_ours_that_a_pod_has_leave_it_plain(change: shapes.Change) -> None:
    pod = shapes.changed(stacks.asking("deployment"), change)
    reason = "Skipped" if change is shapes.windows else "NamesTaken"
    assert patch.why_plain(pod, stacks.profile()) == reason
    assert patch.operations(pod, stacks.profile()) == []


@pytest.mark.parametrize("change", unusual.LEFT, ids=lambda change: change.__name__)
def test_an_unusual_pod_stays_plain_for_a_reason(change: shapes.Change) -> None:
    pod = shapes.changed(stacks.asking("deployment"), change)
    reason = unusual.LEFT[change]
    assert patch.why_plain(pod, stacks.profile()) == reason
    assert bool(reason) == patch.names(pod, stacks.profile())


@pytest.mark.parametrize(
    ("reason", "recipe"),
    [
        ("NotReady", {"ready": False}),
        ("NotReady", {"format": 2}),
        ("Canary", {"heldImages": ["registry.example/vllm-openai-rocm:v0.23.0"]}),
    ],
)
def test_a_recipe_that_is_not_for_this_pod_leaves_it_plain(reason: str, recipe: Json) -> None:
    assert patch.why_plain(stacks.asking("deployment"), stacks.profile(**recipe)) == reason


def test_a_profile_without_a_recipe_is_not_ready() -> None:
    profile = stacks.profile()
    del profile["status"]
    assert patch.why_plain(stacks.asking("deployment"), profile) == "NotReady"


def test_a_pod_names_its_profile_or_is_chosen_by_all_of_the_labels() -> None:
    profile = stacks.profile(spec={"match": {"podLabels": {"app": "model", "model": "qwen"}}})
    assert patch.matches(stacks.pod("kubeai"), profile)
    assert not patch.names(stacks.pod("kubeai"), profile)
    assert not patch.matches(stacks.pod("aibrix"), profile)
    assert patch.names(stacks.asking("kubeai"), profile)
    assert not patch.matches(stacks.asking("kubeai"), profile)
    assert not patch.matches(stacks.pod("kubeai"), stacks.profile())


def test_no_text_is_changed_by_the_kubelet() -> None:
    for text in (scripts.WARM, scripts.SERVER, scripts.HARVEST):
        assert not re.search(r"\$\(|\$\$", text)
