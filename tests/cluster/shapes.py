"""Pods of shapes that their authors may write, each a change of an ordinary one."""

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Change = Callable[[Json], None]


def _server(pod: Json) -> Json:
    found: Json = pod["spec"]["containers"][0]
    return found


def hundred_variables(pod: Json) -> None:
    _server(pod)["env"] = [{"name": f"V{i}", "value": f"$(V{i - 1}) {i}" if i else "0"} for i in range(100)]


def variables_from_elsewhere(pod: Json) -> None:
    _server(pod)["envFrom"] = [
        {"prefix": "A_", "configMapRef": {"name": "settings", "optional": True}},
        {"secretRef": {"name": "token", "optional": True}},
    ]
    _server(pod)["env"] = [
        {"name": "PORT", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "port", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]
    _server(pod)["args"] = ["--port", "$(PORT)", "$$(KEPT)", "$(UNKNOWN)"]


def native_sidecars(pod: Json) -> None:
    sidecar = {"image": "registry.example/proxy:1", "restartPolicy": "Always"}
    first = {"name": "first", "image": "registry.example/init:1"}
    pod["spec"]["initContainers"] = [{**sidecar, "name": "proxy"}, first, {**sidecar, "name": "log"}]


def host_network(pod: Json) -> None:
    pod["spec"] |= {"hostNetwork": True, "hostPID": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    _server(pod)["ports"] = [{"containerPort": 8000, "hostPort": 8000}]


def server_is_the_second_container(pod: Json) -> None:
    pod["spec"]["containers"].insert(0, {"name": "router", "image": "registry.example/router:1"})
    pod["spec"]["containers"].append({"name": "metrics", "image": "registry.example/metrics:1"})


def name_of_ours_on_a_container(pod: Json) -> None:
    pod["spec"]["containers"].append({"name": "hipbmm-warm", "image": "registry.example/other:1"})


def name_of_our_sidecar_on_a_container(pod: Json) -> None:
    pod["spec"]["containers"].append({"name": "hipbmm-harvest", "image": "registry.example/other:1"})


def server_with_a_name_of_ours(pod: Json) -> None:
    _server(pod)["name"] = "hipbmm-warm"


def init_container_with_a_name_of_ours(pod: Json) -> None:
    pod["spec"]["initContainers"] = [{"name": "hipbmm-warm", "image": "registry.example/other:1", "args": ["serve"]}]


def volume_with_a_name_of_ours(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "hipbmm-kernel", "emptyDir": {}})


def mount_inside_of_ours(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "mine", "emptyDir": {}})
    _server(pod).setdefault("volumeMounts", []).append({"name": "mine", "mountPath": "/hipbmm/store"})


def read_only_root(pod: Json) -> None:
    _server(pod)["securityContext"] = {"readOnlyRootFilesystem": True, "runAsUser": 1234, "runAsNonRoot": True}


def generated_name(pod: Json) -> None:
    pod["metadata"].pop("name", None)
    pod["metadata"]["generateName"] = "vllm-"


def pod_of_a_job(pod: Json) -> None:
    pod["spec"] |= {"restartPolicy": "Never", "activeDeadlineSeconds": 600}


def everything_that_a_server_may_have(pod: Json) -> None:
    server = _server(pod)
    probe = {"httpGet": {"path": "/health", "port": 8000}}
    pod["spec"].setdefault("volumes", []).append({"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}})
    server.setdefault("volumeMounts", [])
    server |= {
        "stdin": True,
        "stdinOnce": True,
        "tty": True,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "startupProbe": {**probe, "failureThreshold": 600},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "terminationMessagePath": "/tmp/end",  # noqa: S108  # of the container
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
        "volumeDevices": [{"name": "disk", "devicePath": "/dev/xvda"}],
        "workingDir": "/srv",
        "imagePullPolicy": "Always",
    }


def own_rules_of_restart(pod: Json) -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}

    _server(pod)["restartPolicy"] = "Never"
    _server(pod)["restartPolicyRules"] = [rule]


def resources_of_the_pod(pod: Json) -> None:
    pod["spec"]["resources"] = {"limits": {"cpu": "8", "memory": "64Gi"}, "requests": {"cpu": "8", "memory": "64Gi"}}
    _server(pod)["resources"] = {
        "limits": {"amd.com/gpu": "1", "cpu": "8", "memory": "64Gi"},
        "requests": {"amd.com/gpu": "1", "cpu": "8", "memory": "64Gi"},
    }


def claims_of_devices(pod: Json) -> None:
    pod["spec"]["resourceClaims"] = [{"name": "net", "resourceClaimTemplateName": "net"}]
    _server(pod)["resources"] = {**_server(pod)["resources"], "claims": [{"name": "net"}]}


def windows(pod: Json) -> None:
    pod["spec"]["os"] = {"name": "windows"}
    pod["spec"].pop("securityContext", None)
    _server(pod).pop("securityContext", None)


def neither_command_nor_arguments(pod: Json) -> None:
    _server(pod).pop("command", None)
    _server(pod).pop("args", None)


def shell_with_an_empty_word(pod: Json) -> None:
    _server(pod)["command"] = ["sh", "-c", "", ""]
    _server(pod)["args"] = ["", "--x='\"\\ \u00e9\u2028"]


def word_of_ours_in_the_command(pod: Json) -> None:
    """The name that the author gives a shell is the one by which ours are known."""
    _server(pod)["command"] = ["sh", "-c", 'exec vllm serve "$@"', "hipbmm", "/models", "--seed", "0"]


def variables_with_names_of_ours(pod: Json) -> None:
    names = ("HIPBMM_MODE", "HIPBMM_POD_UID", "PYTHONPATH", "HIPBMM_FIXED_ENV", "VLLM_ROCM_USE_AITER")
    _server(pod)["env"] = [{"name": name, "value": "mine"} for name in names]


def path_by_a_variable(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "mine", "emptyDir": {}})
    _server(pod)["env"] = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    _server(pod).setdefault("volumeMounts", []).append({"name": "mine", "mountPath": "/cache", "subPathExpr": "$(POD)"})


INJECTED: tuple[Change, ...] = (
    hundred_variables,
    variables_from_elsewhere,
    native_sidecars,
    host_network,
    server_is_the_second_container,
    read_only_root,
    generated_name,
    pod_of_a_job,
    everything_that_a_server_may_have,
    own_rules_of_restart,
    resources_of_the_pod,
    claims_of_devices,
    neither_command_nor_arguments,
    shell_with_an_empty_word,
    word_of_ours_in_the_command,
    variables_with_names_of_ours,
    path_by_a_variable,
)
LEFT: tuple[Change, ...] = (
    name_of_ours_on_a_container,
    name_of_our_sidecar_on_a_container,
    server_with_a_name_of_ours,
    init_container_with_a_name_of_ours,
    volume_with_a_name_of_ours,
    mount_inside_of_ours,
    windows,
)


def changed(pod: Json, change: Change) -> Json:
    """A copy, changed."""
    body = copy.deepcopy(pod)
    change(body)
    return body
