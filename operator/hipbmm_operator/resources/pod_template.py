"""The pod template: the four containers of docs/pod-contract.md and their volumes."""

from dataclasses import dataclass

from hipbmm_operator.api.fields import Model
from hipbmm_operator.api.pod_template import ContainerAdditions, ContainerSecurity, PodSpec
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.resources import container_resources, environment, gpu_claims, node_affinity, volumes
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.placement import Placement
from hipbmm_operator.resources.server_args import Command

PROBE_SECONDS = 10
_PRE_STOP_SECONDS = 15
_PRE_STOP_SHARE = 4


@dataclass(frozen=True, slots=True)
class Payload:
    """The image that carries the kernel program: the operator's own."""

    image: str
    pull_policy: str


def template(
    name: str, spec: Spec, command: Command, place: Placement, payload: Payload, around: Circumstances
) -> Json:
    """The pod template of a resource. `place` says where its rows are, `around` what the cluster asks of it."""
    pod = spec.pod_template.spec
    body: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.server.grace_period_seconds,
        "securityContext": _pod_security(pod, around),
        "initContainers": [
            _payload(spec, payload, around),
            _warm(spec, command, place, around),
            *_harvest(spec, place, around),
        ],
        "containers": [_server(spec, command, place, around)],
        "volumes": volumes.of_pod(name, spec, place),
        "resourceClaims": gpu_claims.of_pod(name, spec.gpu, command.gpus),
        "affinity": node_affinity.affinity(spec, around.kinds),
        "tolerations": node_affinity.tolerations(spec),
        "imagePullSecrets": [secret.body() for secret in spec.image_pull_secrets],
        "nodeSelector": pod.node_selector,
        "priorityClassName": pod.priority_class_name,
        "runtimeClassName": pod.runtime_class_name,
        "schedulerName": pod.scheduler_name,
        "topologySpreadConstraints": _spread(name, pod),
    }
    metadata = spec.pod_template.metadata
    return {
        "metadata": {
            "labels": {**metadata.labels, **names.labels(name)},
            "annotations": {
                "kubectl.kubernetes.io/default-container": contract.SERVER,
                **metadata.annotations,
                **around.annotations(),
                names.ANNOTATION_DEPLOYMENT: name,
            },
        },
        "spec": {key: value for key, value in body.items() if value not in ([], {}, None)},
    }


def _dump(model: Model | None) -> Json:
    return model.body() if model else {}


def _spread(name: str, pod: PodSpec) -> list[Json]:
    selector = {"labelSelector": {"matchLabels": names.selector_labels(name)}}
    return [selector | constraint.body() for constraint in pod.topology_spread_constraints or []]


def _payload(spec: Spec, payload: Payload, around: Circumstances) -> Json:
    return {
        "name": contract.PAYLOAD,
        "image": payload.image,
        "imagePullPolicy": payload.pull_policy,
        "command": ["python", "-m", "hipbmm_kernel", "payload", contract.HOME],
        "resources": container_resources.of_injected(spec, contract.PAYLOAD, around.bounds),
        # The image names a numeric user; platforms that give a user of their own put it here.
        "securityContext": {**_no_privileges(), "readOnlyRootFilesystem": True, "runAsNonRoot": True},
        "volumeMounts": [{"name": "hipbmm", "mountPath": contract.HOME}],
    }


def _warm(spec: Spec, command: Command, place: Placement, around: Circumstances) -> Json:
    extra = spec.pod_template.spec.container(contract.SERVER)
    return {
        "name": contract.WARM,
        **_image(spec),
        "command": ["python3", contract.PROGRAM, "warm"],
        "env": environment.of_warm(spec, command, mirror=place.mirror, given=around.given),
        **_env_from(extra),
        "resources": container_resources.of_server(spec, command.gpus, around.bounds),
        "securityContext": _security(extra.security_context),
        "volumeMounts": volumes.of_warm(spec, place),
    }


def _harvest(spec: Spec, place: Placement, around: Circumstances) -> list[Json]:
    if not spec.tuning.harvest:
        return []
    return [
        {
            "name": contract.HARVEST,
            **_image(spec),
            "restartPolicy": "Always",
            "command": ["python3", contract.PROGRAM, "harvest"],
            "env": environment.of_harvest(spec, mirror=place.mirror),
            "ports": [{"name": "hipbmm", "containerPort": contract.METRICS_PORT}],
            "resources": container_resources.of_injected(spec, contract.HARVEST, around.bounds),
            "securityContext": _security(spec.pod_template.spec.container(contract.SERVER).security_context),
            "volumeMounts": volumes.of_harvest(),
        }
    ]


def _server(spec: Spec, command: Command, place: Placement, around: Circumstances) -> Json:
    server, extra = spec.server, spec.pod_template.spec.container(contract.SERVER)
    scheme = {"scheme": "HTTPS"} if command.tls else {}
    health = {"httpGet": {"path": "/health", "port": "http", **scheme}}
    container = {
        "name": contract.SERVER,
        **_image(spec),
        "command": ["python3", contract.PROGRAM, "exec", "--", *command.argv],
        "workingDir": server.working_dir,
        "env": environment.of_server(spec, command, mirror=place.mirror, given=around.given),
        **_env_from(extra),
        "ports": [{"name": "http", "containerPort": command.port}],
        "resources": container_resources.of_server(spec, command.gpus, around.bounds),
        "securityContext": _security(extra.security_context),
        "volumeMounts": volumes.of_server(spec),
        # The last lines of a server that crashed are in `status.failures`.
        "terminationMessagePolicy": "FallbackToLogsOnError",
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


def _env_from(extra: ContainerAdditions) -> Json:
    return {"envFrom": [source.body() for source in extra.env_from]} if extra.env_from else {}


def _pod_security(pod: PodSpec, around: Circumstances) -> Json:
    # In a namespace that admits nothing else, a root image fails with a message of the kubelet that names the cause.
    non_root = {"runAsNonRoot": True} if around.non_root else {}
    return {"seccompProfile": {"type": "RuntimeDefault"}} | non_root | _dump(pod.security_context)


def _no_privileges() -> Json:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _security(context: ContainerSecurity | None) -> Json:
    return {**_dump(context), **_no_privileges()}
