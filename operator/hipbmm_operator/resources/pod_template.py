"""The pod template: the four containers of docs/pod-contract.md and their volumes."""

from collections.abc import Collection
from dataclasses import dataclass

from hipbmm_operator.api.fields import Model
from hipbmm_operator.api.pod_template import ContainerSecurity, PodSpec, ServerContainer
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect import LabelKind
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object
from hipbmm_operator.pods import contract
from hipbmm_operator.resources import environment, node_affinity
from hipbmm_operator.resources.placement import Placement
from hipbmm_operator.resources.server_args import Command

NOBODY = 65532
PROBE_SECONDS = 10
_SHM_SIZE = "16Gi"
_LEAST_REQUESTS = {"cpu": "100m", "memory": "512Mi"}
"""So that a pod is never BestEffort, the first to be killed; what a model needs, only its user knows."""
_PRE_STOP_SECONDS = 15
_PRE_STOP_SHARE = 4


@dataclass(frozen=True, slots=True)
class Payload:
    """The image that carries the kernel program: the operator's own."""

    image: str
    pull_policy: str


def template(
    name: str, spec: Spec, command: Command, place: Placement, payload: Payload, kinds: Collection[LabelKind]
) -> Json:
    """The pod template of a resource. `place` says where its rows are, `kinds` which node labels its affinity reads."""
    pod = spec.pod_template.spec
    extra = pod.containers[0] if pod.containers else ServerContainer(name="server")
    body: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.server.grace_period_seconds,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}} | _dump(pod.security_context),
        "initContainers": [
            _payload(payload),
            _warm(spec, command, place, extra),
            *_harvest(spec, place, extra),
        ],
        "containers": [_server(spec, command, place, extra)],
        "volumes": [*_volumes(name, spec, place), *(_dump(volume) for volume in pod.volumes or [])],
        "affinity": _affinity(spec, kinds),
        "tolerations": [
            *node_affinity.tolerations(spec.gpu.tolerations),
            *(_dump(entry) for entry in pod.tolerations or []),
        ],
    }
    if spec.image_pull_secrets:
        body["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    body |= _passed_through(name, pod)
    metadata = spec.pod_template.metadata
    return {
        "metadata": {
            "labels": {**metadata.labels, **names.labels(name)},
            "annotations": {
                "kubectl.kubernetes.io/default-container": contract.SERVER,
                **metadata.annotations,
                **node_affinity.annotations(kinds),
                names.ANNOTATION_DEPLOYMENT: name,
            },
        },
        "spec": {key: value for key, value in body.items() if value not in ([], {})},
    }


def _dump(model: Model | None) -> Json:
    return model.model_dump(by_alias=True, exclude_none=True) if model else {}


def _passed_through(name: str, pod: PodSpec) -> Json:
    out: Json = {
        key: value
        for key, value in {
            "nodeSelector": pod.node_selector,
            "priorityClassName": pod.priority_class_name,
            "runtimeClassName": pod.runtime_class_name,
            "schedulerName": pod.scheduler_name,
        }.items()
        if value
    }
    selector = {"labelSelector": {"matchLabels": names.selector_labels(name)}}
    if pod.topology_spread_constraints:
        out["topologySpreadConstraints"] = [selector | _dump(entry) for entry in pod.topology_spread_constraints]
    return out


def _affinity(spec: Spec, kinds: Collection[LabelKind]) -> Json:
    users = _dump(spec.pod_template.spec.affinity)
    node = users.get("nodeAffinity", {})
    required = as_object(node.get("requiredDuringSchedulingIgnoredDuringExecution")).get("nodeSelectorTerms", [])
    terms = node_affinity.node_terms(spec, kinds, required)
    node = {**node, "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**users, "nodeAffinity": node}


def _payload(payload: Payload) -> Json:
    return {
        "name": contract.PAYLOAD,
        "image": payload.image,
        "imagePullPolicy": payload.pull_policy,
        "command": ["python", "-m", "hipbmm_kernel", "payload", contract.HOME],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            **_no_privileges(),
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
        },
        "volumeMounts": [{"name": "hipbmm", "mountPath": contract.HOME}],
    }


def _warm(spec: Spec, command: Command, place: Placement, extra: ServerContainer) -> Json:
    return {
        "name": contract.WARM,
        **_image(spec),
        "command": ["python3", contract.PROGRAM, "warm"],
        "env": environment.of_warm(spec, command, mirror=place.mirror),
        **_env_from(extra),
        "resources": _resources(spec, command, extra),
        "securityContext": _security(extra.security_context),
        "volumeMounts": [*_mirror_mount(place), *_mounts(spec, extra)],
    }


def _harvest(spec: Spec, place: Placement, extra: ServerContainer) -> list[Json]:
    if not spec.tuning.harvest:
        return []
    mounts = [{"name": "hipbmm", "mountPath": contract.HOME}, {"name": "cache", "mountPath": environment.CACHE}]
    return [
        {
            "name": contract.HARVEST,
            **_image(spec),
            "restartPolicy": "Always",
            "command": ["python3", contract.PROGRAM, "harvest"],
            "env": environment.of_harvest(spec, mirror=place.mirror),
            "ports": [{"name": "hipbmm", "containerPort": contract.METRICS_PORT}],
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": _security(extra.security_context),
            "volumeMounts": [*mounts, _store_mount()],
        }
    ]


def _server(spec: Spec, command: Command, place: Placement, extra: ServerContainer) -> Json:
    server = spec.server
    health = {"httpGet": {"path": "/health", "port": "http"}}
    container = {
        "name": contract.SERVER,
        **_image(spec),
        "command": ["python3", contract.PROGRAM, "exec", "--", *command.argv],
        "workingDir": server.working_dir,
        "env": environment.of_server(spec, command, mirror=place.mirror),
        **_env_from(extra),
        "ports": [{"name": "http", "containerPort": command.port}],
        "resources": _resources(spec, command, extra),
        "securityContext": _security(extra.security_context),
        "volumeMounts": _mounts(spec, extra, read_only=True),
        "startupProbe": {
            **health,
            "periodSeconds": PROBE_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": -(-server.startup_seconds // PROBE_SECONDS),
        },
        "readinessProbe": {**health, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "lifecycle": _lifecycle(server.grace_period_seconds),
    }
    return {key: value for key, value in container.items() if value}


def _lifecycle(grace: int) -> Json:
    """Serve on for a moment after the stop, while endpoints forget the pod; then the server drains in what is left."""
    seconds = min(_PRE_STOP_SECONDS, grace // _PRE_STOP_SHARE)
    return {"preStop": {"sleep": {"seconds": seconds}}} if seconds else {}


def _image(spec: Spec) -> Json:
    return {"image": spec.image} | ({"imagePullPolicy": spec.image_pull_policy} if spec.image_pull_policy else {})


def _env_from(extra: ServerContainer) -> Json:
    return {"envFrom": [_dump(entry) for entry in extra.env_from]} if extra.env_from else {}


def _resources(spec: Spec, command: Command, extra: ServerContainer) -> Json:
    """The same for `warm` and `server`: Kubernetes counts the larger of the two, so tuning costs no further GPU."""
    asked = _dump(extra.resources)
    limits, requests = asked.get("limits", {}), asked.get("requests", {})
    least = {key: value for key, value in _LEAST_REQUESTS.items() if key not in {**limits, **requests}}
    gpus = {spec.gpu.resource_name: str(command.gpus)}
    return {"limits": {**limits, **gpus}, "requests": {**least, **requests, **gpus}}


def _no_privileges() -> Json:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _security(context: ContainerSecurity | None) -> Json:
    return {**_dump(context), **_no_privileges()}


def _store_mount(*, read_only: bool = False) -> Json:
    return {"name": "store", "mountPath": contract.STORE} | ({"readOnly": True} if read_only else {})


def _mounts(spec: Spec, extra: ServerContainer, *, read_only: bool = False) -> list[Json]:
    """Mounts of `warm` and `server`; only `warm` and `harvest` may write to the store."""
    mounts: list[Json] = [
        {"name": "hipbmm", "mountPath": contract.HOME},
        {"name": "cache", "mountPath": environment.CACHE},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # shared memory of the tensor-parallel workers
        _store_mount(read_only=read_only),
    ]
    if spec.model.config_map_ref:
        mounts.append({"name": "model-config", "mountPath": contract.MODEL_CONFIG_DIR, "readOnly": True})
    if spec.model.volume:
        sub_path = {"subPath": spec.model.volume.sub_path} if spec.model.volume.sub_path else {}
        mounts.append({"name": "models", "mountPath": contract.MODELS, "readOnly": True, **sub_path})
    return [*mounts, *(_dump(mount) for mount in extra.volume_mounts or [])]


def _mirror_mount(place: Placement) -> list[Json]:
    return [{"name": "mirror", "mountPath": contract.MIRROR, "readOnly": True}] if place.mirror else []


def _volumes(name: str, spec: Spec, place: Placement) -> list[Json]:
    volumes: list[Json] = [
        {"name": "hipbmm", "emptyDir": {}},
        {"name": "cache", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _SHM_SIZE}},
    ]
    if place.claim:
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": place.claim}})
    else:
        volumes.append({"name": "store", "emptyDir": {}})
    if place.mirror:
        # Optional: before the first row is tuned there is none. Its name never changes, so its content restarts no pod.
        volumes.append({"name": "mirror", "configMap": {"name": names.mirror(name), "optional": True}})
    if spec.model.config_map_ref:
        volumes.append({"name": "model-config", "configMap": {"name": spec.model.config_map_ref.name}})
    if spec.model.volume:
        reference = {"claimName": spec.model.volume.claim_name, "readOnly": True}
        volumes.append({"name": "models", "persistentVolumeClaim": reference})
    return volumes
