"""Pods that few authors write, each a change of an ordinary one: other owners, other ways to have GPUs, mistakes."""

from typing import Any

from tests.cluster.shapes import Change

Json = dict[str, Any]
_PIPE = "set -e; (echo 'a \"b\"' | tr a b) && exec vllm serve m $(cat /etc/x 2>/dev/null || true) > >(tee /tmp/l) 2>&1"


def _server(pod: Json) -> Json:
    found: Json = pod["spec"]["containers"][0]
    return found


def _add_mount(pod: Json, **mount: Any) -> None:  # noqa: ANN401  # any JSON
    pod["spec"].setdefault("volumes", []).append({"name": "mine", "emptyDir": {}})
    _server(pod).setdefault("volumeMounts", []).append({"name": "mine", **mount})


def arguments_alone(pod: Json) -> None:
    _server(pod).pop("command", None)
    _server(pod)["args"] = ["--model", "m", "--port=8000"]


def pipeline_of_a_shell(pod: Json) -> None:
    _server(pod)["command"] = ["bash", "-euo", "pipefail", "-c", _PIPE, "--"]
    _server(pod)["args"] = ["$(HOME)", "$$", "\t", "*"]


def many_long_arguments(pod: Json) -> None:
    _server(pod)["args"] = [f"--override-{i}=" + "x" * 1000 for i in range(60)]


def variables_of_the_same_name(pod: Json) -> None:
    _server(pod)["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "EMPTY"}]


def variable_of_a_file(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "mine", "emptyDir": {}})
    source = {"volumeName": "mine", "path": "env", "key": "PYTHONPATH", "optional": True}
    _server(pod)["env"] = [{"name": "PYTHONPATH", "valueFrom": {"fileKeyRef": source}}]


def no_token_and_no_volume(pod: Json) -> None:
    pod["spec"]["automountServiceAccountToken"] = False
    pod["spec"].pop("volumes", None)
    for key in ("env", "volumeMounts"):
        _server(pod).pop(key, None)


def token_of_its_own(pod: Json) -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    source = {"serviceAccountToken": {"path": "token", "audience": "vault"}}
    pod["spec"].setdefault("volumes", []).append({"name": "mine", "projected": {"sources": [source]}})
    _server(pod).setdefault("volumeMounts", []).append({"name": "mine", "mountPath": path, "readOnly": True})


def part_of_a_volume(pod: Json) -> None:
    _add_mount(pod, mountPath="/hipbmm-models", subPath="hipbmm/store")


def init_container_with_the_gpus(pod: Json) -> None:
    server = {key: each for key, each in _server(pod).items() if key in ("image", "resources")}
    command = ["python3", "-m", "vllm.entrypoints.cli.main", "bench"]
    pod["spec"]["initContainers"] = [{**server, "name": "bench", "command": command}]


def pod_of_a_stateful_set(pod: Json) -> None:
    pod["metadata"] |= {"name": "vllm-0"}
    pod["metadata"]["labels"] |= {"statefulset.kubernetes.io/pod-name": "vllm-0", "apps.kubernetes.io/pod-index": "0"}
    pod["spec"] |= {"hostname": "vllm-0", "subdomain": "vllm"}


def pod_of_a_daemon_set(pod: Json) -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    pod["spec"] |= {"affinity": {"nodeAffinity": required}, "tolerations": [{"operator": "Exists"}]}
    pod["spec"].setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/models"}})


def bound_to_a_node(pod: Json) -> None:
    pod["spec"] |= {"nodeName": "node-1", "enableServiceLinks": False, "hostAliases": [{"ip": "127.0.0.1"}]}


def held_by_a_gate(pod: Json) -> None:
    pod["spec"] |= {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}], "schedulerName": "volcano"}
    pod["metadata"]["finalizers"] = ["example.com/kept"]


def every_container_in_one_room(pod: Json) -> None:
    pod["spec"] |= {"shareProcessNamespace": True, "hostIPC": True, "setHostnameAsFQDN": True}
    _server(pod)["securityContext"] = {"privileged": True}


def requests_of_the_pod_are_used_up(pod: Json) -> None:
    """A sidecar that asked for more would be refused."""
    pod["spec"]["resources"] = {"requests": {"cpu": "1", "memory": "1Gi"}}
    _server(pod)["resources"] = {"limits": {"amd.com/gpu": "1"}, "requests": {"cpu": "1", "memory": "1Gi"}}


def partitions_of_a_gpu(pod: Json) -> None:
    _server(pod)["resources"] = {"limits": {"amd.com/cpx_nps4": "2"}}


def gpus_by_a_claim(pod: Json) -> None:
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
    _server(pod)["resources"] = {"claims": [{"name": "gpu"}]}
    pod["metadata"]["annotations"] = {"hipbmm.io/container": _server(pod)["name"]}


def no_gpus_beside_the_server(pod: Json) -> None:
    other = {"name": "router", "image": "registry.example/router:1", "resources": {"limits": {"amd.com/gpu": "0"}}}
    pod["spec"]["containers"].append(other)


def network_card_beside_the_server(pod: Json) -> None:
    resources = {"limits": {"amd.com/nic": "1"}}
    pod["spec"]["containers"].append({"name": "agent", "image": "registry.example/agent:1", "resources": resources})


def skip_that_says_no(pod: Json) -> None:
    pod["metadata"]["annotations"] = {"hipbmm.io/skip": "false", "hipbmm.io/container": ""}


def model_in_an_image(pod: Json) -> None:
    source = {"reference": "registry.example/qwen:1", "pullPolicy": "IfNotPresent"}
    pod["spec"].setdefault("volumes", []).append({"name": "weights", "image": source})
    mount = {"name": "weights", "mountPath": "/models", "subPath": "qwen", "readOnly": True}
    _server(pod).setdefault("volumeMounts", []).append(mount)


def claim_of_its_own(pod: Json) -> None:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = {"spec": {**wanted, "storageClassName": "fast"}}
    pod["spec"].setdefault("volumes", []).append({"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}})
    mount = {"name": "scratch", "mountPath": "/scratch", "mountPropagation": "HostToContainer"}
    _server(pod).setdefault("volumeMounts", []).append(mount)


def signal_to_stop(pod: Json) -> None:
    pod["spec"]["os"] = {"name": "linux"}
    _server(pod)["lifecycle"] = {"stopSignal": "SIGINT", "preStop": {"sleep": {"seconds": 5}}}


def users_of_its_own(pod: Json) -> None:
    pod["spec"] |= {"hostUsers": False, "securityContext": {"fsGroup": 7, "supplementalGroups": [8], "runAsUser": 9}}
    kind = {"type": "RuntimeDefault"}
    own = {
        "appArmorProfile": kind,
        "seccompProfile": kind,
        "procMount": "Default",
        "capabilities": {"add": ["SYS_PTRACE"]},
    }
    _server(pod)["securityContext"] = own


def restart_of_all_containers(pod: Json) -> None:
    """Init containers run again then."""
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    pod["spec"]["restartPolicy"] = "OnFailure"
    _server(pod).update({"restartPolicy": "Never", "restartPolicyRules": [rule]})


def pages_and_disk(pod: Json) -> None:
    more = {"hugepages-2Mi": "1Gi", "ephemeral-storage": "20Gi", "memory": "8Gi", "cpu": "4"}
    _server(pod)["resources"] = {"limits": {"amd.com/gpu": "1", **more}}
    huge = {"name": "huge", "emptyDir": {"medium": "HugePages"}}
    pod["spec"].setdefault("volumes", []).extend([huge, {"name": "quick", "emptyDir": {"medium": "Memory"}}])
    _server(pod).setdefault("volumeMounts", []).append({"name": "quick", "mountPath": "/quick"})


def variables_with_odd_names(pod: Json) -> None:
    field = {"containerName": _server(pod)["name"], "resource": "limits.memory", "divisor": "1Mi"}
    secret = {"name": "token", "key": "hf", "optional": True}
    _server(pod)["env"] = [
        {"name": "vllm.some-name_2", "value": "a'b\"c\\d\n$(HOME)"},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": field}},
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a.b/c']"}}},
    ]


def thousands_of_variables(pod: Json) -> None:
    _server(pod)["env"] = [{"name": f"V{i}", "value": "x" * 100} for i in range(2000)]


def many_containers(pod: Json) -> None:
    other = {"image": "registry.example/x:1", "env": [{"name": f"V{i}", "value": "1"} for i in range(20)]}
    pod["spec"]["containers"] += [{**other, "name": f"beside-{i}"} for i in range(30)]
    pod["spec"]["initContainers"] = [{**other, "name": f"before-{i}"} for i in range(30)]


def containers_of_one_image(pod: Json) -> None:
    image = _server(pod)["image"]
    pod["spec"]["containers"].insert(0, {"name": "router", "image": image, "command": ["vllm-router"]})
    pod["spec"]["initContainers"] = [{"name": "fetch", "image": image, "args": ["download"]}]
    pod["metadata"]["annotations"] = {"hipbmm.io/container": pod["spec"]["containers"][1]["name"]}


def proxy_that_is_probed_and_first(pod: Json) -> None:
    probe = {"httpGet": {"path": "/ready", "port": 15021}, "failureThreshold": 30}
    proxy = {"name": "vault-agent", "image": "registry.example/vault:1", "restartPolicy": "Always"}
    pod["spec"]["initContainers"] = [
        {**proxy, "startupProbe": probe, "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}
    ]
    pod["spec"].setdefault("volumes", []).append({"name": "secrets", "emptyDir": {"medium": "Memory"}})
    mount = {"name": "secrets", "mountPath": "/vault/secrets", "recursiveReadOnly": "IfPossible", "readOnly": True}
    _server(pod).setdefault("volumeMounts", []).append(mount)


def shell_that_reads_secrets(pod: Json) -> None:
    _server(pod)["command"] = ["/bin/sh", "-ec"]
    _server(pod)["args"] = ["source /vault/secrets/env && exec vllm serve /models --port ${PORT:-8000} \\\n --seed 0"]


def as_guaranteed_by_the_pod_alone(pod: Json) -> None:
    pod["spec"]["resources"] = {"limits": {"cpu": "8", "memory": "64Gi"}, "requests": {"cpu": "8", "memory": "64Gi"}}
    _server(pod)["resources"] = {"limits": {"amd.com/gpu": "1"}}


def member_of_a_gang(pod: Json) -> None:
    labels = {"pod-group.scheduling.sigs.k8s.io": "g", "kueue.x-k8s.io/queue-name": "q", "app.kubernetes.io/x": ""}
    pod["metadata"]["labels"] |= labels
    pod["metadata"]["annotations"] = {"scheduling.k8s.io/group-name": "g", "big": "x" * 200_000}
    pod["spec"] |= {"priorityClassName": "system-node-critical", "preemptionPolicy": "PreemptLowerPriority"}
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    pod["spec"]["topologySpreadConstraints"] = [{**spread, "matchLabelKeys": ["pod-template-hash"]}]


def everything_of_the_pod_as_files(pod: Json) -> None:
    sources = [
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"secret": {"name": "hf", "optional": True, "items": [{"key": "t", "path": "t", "mode": 256}]}},
    ]
    pod["spec"].setdefault("volumes", []).append({"name": "all", "projected": {"sources": sources, "defaultMode": 288}})
    _server(pod).setdefault("volumeMounts", []).append({"name": "all", "mountPath": "/etc/all/", "subPath": "labels"})


def larger_than_half_of_what_is_stored(pod: Json) -> None:
    """etcd takes 1.5 MiB: with a copy of the server it would be refused."""
    _server(pod)["env"] = [{"name": f"V{i}", "value": "x" * 10_000} for i in range(80)]


def larger_than_half_in_few_characters(pod: Json) -> None:
    _server(pod)["env"] = [{"name": f"V{i}", "value": "\N{GRINNING FACE}" * 3000} for i in range(80)]


def for_windows_by_its_nodes(pod: Json) -> None:
    pod["spec"]["nodeSelector"] = {"kubernetes.io/os": "windows"}


def no_gpus(pod: Json) -> None:
    _server(pod)["resources"] = {"limits": {"amd.com/gpu": "0"}}


def another_device_of_the_maker(pod: Json) -> None:
    _server(pod)["resources"] = {"limits": {"amd.com/ama_u30": "1"}}


def gpus_of_another_maker(pod: Json) -> None:
    _server(pod)["resources"] = {"limits": {"nvidia.com/gpu": "1"}}


def container_that_is_not_there(pod: Json) -> None:
    pod["metadata"]["annotations"] = {"hipbmm.io/container": "vlm"}


def init_container_as_the_server(pod: Json) -> None:
    pod["spec"]["initContainers"] = [{"name": "first", "image": "registry.example/init:1"}]
    pod["metadata"]["annotations"] = {"hipbmm.io/container": "first"}


def label_without_a_name(pod: Json) -> None:
    pod["metadata"]["labels"]["hipbmm.io/profile"] = ""


def mount_of_our_path(pod: Json) -> None:
    _add_mount(pod, mountPath="/hipbmm/", subPath="x")


def relative_mount_of_our_path(pod: Json) -> None:
    _add_mount(pod, mountPath="hipbmm/store")


def device_at_our_path(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}})
    _server(pod)["volumeDevices"] = [{"name": "disk", "devicePath": "/hipbmm"}]


def static_pod(pod: Json) -> None:
    """As its kubelet shows it."""
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0" * 32, "kubernetes.io/config.source": "file"}
    pod["spec"] |= {"nodeName": "node-1", "automountServiceAccountToken": False}
    pod["spec"].pop("serviceAccountName", None)
    _server(pod)["env"] = []  # one that names a Secret is refused


INJECTED: tuple[Change, ...] = (
    arguments_alone,
    pipeline_of_a_shell,
    many_long_arguments,
    variables_of_the_same_name,
    variable_of_a_file,
    no_token_and_no_volume,
    token_of_its_own,
    part_of_a_volume,
    init_container_with_the_gpus,
    pod_of_a_stateful_set,
    pod_of_a_daemon_set,
    bound_to_a_node,
    held_by_a_gate,
    every_container_in_one_room,
    requests_of_the_pod_are_used_up,
    partitions_of_a_gpu,
    gpus_by_a_claim,
    no_gpus_beside_the_server,
    network_card_beside_the_server,
    skip_that_says_no,
    model_in_an_image,
    claim_of_its_own,
    signal_to_stop,
    users_of_its_own,
    restart_of_all_containers,
    pages_and_disk,
    variables_with_odd_names,
    thousands_of_variables,
    many_containers,
    containers_of_one_image,
    proxy_that_is_probed_and_first,
    shell_that_reads_secrets,
    as_guaranteed_by_the_pod_alone,
    member_of_a_gang,
    everything_of_the_pod_as_files,
)
LEFT: dict[Change, str] = {
    no_gpus: "NoGpuContainer",
    another_device_of_the_maker: "NoGpuContainer",
    gpus_of_another_maker: "NoGpuContainer",
    container_that_is_not_there: "NoGpuContainer",
    init_container_as_the_server: "NoGpuContainer",
    mount_of_our_path: "NamesTaken",
    relative_mount_of_our_path: "NamesTaken",
    device_at_our_path: "NamesTaken",
    static_pod: "Skipped",
    for_windows_by_its_nodes: "Skipped",
    larger_than_half_of_what_is_stored: "TooLarge",
    larger_than_half_in_few_characters: "TooLarge",
    label_without_a_name: "",
}
"""And why it stays plain, "" where it asks for no profile."""
