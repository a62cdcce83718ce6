"""`spec.podTemplate`: what a user may add to the pods. A list of allowed fields, so pod security stays in force."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hipbmm_operator.api.common import NameRef
from hipbmm_operator.api.fields import (
    MAX_INT32,
    NO_PARENT,
    AbsolutePath,
    Atomic,
    ByMountPath,
    ByName,
    ConfigMapKey,
    DnsLabel,
    LabelMap,
    Model,
    ObjectName,
    Quantity,
    RelativePath,
    TextMap,
    checked,
    no_parent,
    rule,
)
from hipbmm_operator.api.scheduling import Affinity, Toleration, TopologySpread

RESERVED_VOLUMES = ("hipbmm", "store", "models", "model-config", "mirror", "cache", "shm", "hipbmm-tmp")
"""Volumes of the pod contract; a user's volume must have another name."""

Id = Annotated[int, Field(ge=0, le=MAX_INT32)]


def _refused(field: str, expression: str = "false") -> dict[str, Any]:
    return rule(expression, f"podTemplate must not set {field}")


def _never(field: str) -> Any:  # noqa: ANN401  # pydantic types a field as its value
    """A switch that only may be off."""
    return Field(None, alias=field, description="Not accepted.", json_schema_extra=_refused(field, "self == false"))


class SeccompProfile(Model):
    """Seccomp profile of all containers."""

    type: Literal["RuntimeDefault", "Localhost"] = Field(description="Profile; Unconfined is not accepted.")
    localhost_profile: Annotated[str, Field(max_length=512)] | None = Field(None, description="File of the profile.")


class PodSecurity(Model):
    """Security context of the pods."""

    run_as_user: Id | None = Field(None, description="User of all containers.")
    run_as_group: Id | None = Field(None, description="Group of all containers.")
    run_as_non_root: bool | None = Field(None, description="Refuse to run as root.")
    fs_group: Id | None = Field(None, description="Group that owns the volumes.")
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = Field(
        None, description="When the group of a volume's files is changed."
    )
    supplemental_groups: Atomic[Id] | None = Field(
        None, max_length=32, description="Further groups, such as the node's render group that owns the GPU devices."
    )
    seccomp_profile: SeccompProfile | None = None


class ContainerSecurity(Model):
    """Security context of the server."""

    run_as_user: Id | None = Field(None, description="User of the server.")
    run_as_group: Id | None = Field(None, description="Group of the server.")
    run_as_non_root: bool | None = Field(None, description="Refuse to run as root.")
    read_only_root_filesystem: bool | None = Field(None, description="Mount the image read-only.")
    privileged: bool | None = _never("privileged")
    allow_privilege_escalation: bool | None = _never("allowPrivilegeEscalation")


def _amounts(part: str) -> dict[str, Any]:
    rest = f"GPUs are set by spec.parallelism, not in {part}"
    return rule("!self.exists(key, key.startsWith('amd.com/'))", rest)


Amounts = Annotated[dict[Annotated[str, Field(max_length=253)], Quantity], Field(max_length=16)]


class Resources(Model):
    """Requests and limits. GPUs are set from spec.parallelism."""

    limits: Amounts | None = Field(
        None, description="Limits by resource, such as cpu and memory.", json_schema_extra=_amounts("limits")
    )
    requests: Amounts | None = Field(None, description="Requests by resource.", json_schema_extra=_amounts("requests"))


class KeyPath(Model):
    """One key as a file."""

    key: ConfigMapKey = Field(description="Key of the ConfigMap or Secret.")
    path: RelativePath = Field(
        description="Name of the file, relative to the mount.",
        json_schema_extra=no_parent("path"),
    )


class ConfigMapVolume(NameRef):
    """Files of a ConfigMap."""

    items: Atomic[KeyPath] | None = Field(None, max_length=64, description="Which keys. Default: all.")
    optional: bool | None = Field(None, description="Start even when it is missing.")


class SecretVolume(Model):
    """Files of a Secret."""

    secret_name: ObjectName = Field(description="Name of the Secret.")
    items: Atomic[KeyPath] | None = Field(None, max_length=64, description="Which keys. Default: all.")
    optional: bool | None = Field(None, description="Start even when it is missing.")


class ClaimVolume(Model):
    """A PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="Name of the claim.")
    read_only: bool | None = Field(None, description="Mount it read-only.")


class EmptyDirVolume(Model):
    """An empty directory."""

    medium: Literal["", "Memory", "HugePages", "HugePages-2Mi", "HugePages-1Gi"] | None = Field(
        None, description="Disk, memory, or huge pages."
    )
    size_limit: Quantity | None = Field(None, description="Largest size.")


class Volume(Model):
    """A volume: exactly one source."""

    model_config = checked(
        "(has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0)"
        " + (has(self.emptyDir) ? 1 : 0) + (has(self.hostPath) ? 1 : 0) == 1",
        "a volume must have exactly one of configMap, secret, persistentVolumeClaim, emptyDir",
        messageExpression="'volume ' + self.name + ' must have exactly one of configMap, secret,"
        " persistentVolumeClaim, emptyDir'",
    )

    name: DnsLabel = Field(
        description="Name of the volume.",
        json_schema_extra=rule(
            f"!(self in {list(RESERVED_VOLUMES)})",
            "volume name is one of the operator's own",
            messageExpression="'volume name must not be one of the operator\\'s own: ' + self",
        ),
    )
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    empty_dir: EmptyDirVolume | None = None
    host_path: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=1024)]] | None = Field(
        None, max_length=2, description="Not accepted.", json_schema_extra=_refused("hostPath")
    )


class VolumeMount(Model):
    """A volume in the server's file system."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the volume.")
    mount_path: AbsolutePath = Field(
        description="Where it is mounted.",
        json_schema_extra=rule(
            "self != '/hipbmm' && !self.startsWith('/hipbmm/') && self != '/' && " + NO_PARENT,
            "mountPath must not be / or inside /hipbmm",
            messageExpression="'mountPath must not be /, inside /hipbmm, or contain \"..\": ' + self",
        ),
    )
    sub_path: RelativePath | None = Field(
        None,
        description="Directory inside the volume.",
        json_schema_extra=no_parent("subPath"),
    )
    read_only: bool | None = Field(None, description="Mount it read-only.")


class EnvFrom(Model):
    """All keys of a ConfigMap or Secret as variables."""

    model_config = checked(
        "has(self.configMapRef) != has(self.secretRef)", "envFrom must have configMapRef or secretRef"
    )

    prefix: Annotated[str, Field(max_length=64)] | None = Field(None, description="Put in front of each key.")
    config_map_ref: NameRef | None = Field(None, description="The ConfigMap.")
    secret_ref: NameRef | None = Field(None, description="The Secret.")


class ContainerAdditions(Model):
    """Additions to a container: to `server` all of these, to `payload` and `harvest` resources."""

    model_config = checked(
        "self.name == 'server' || !(has(self.securityContext) || has(self.volumeMounts) || has(self.envFrom))",
        "payload and harvest can be given resources only",
    )

    name: Literal["server", "payload", "harvest"] = Field(
        description="`server`, or a container that the operator adds: `payload` copies its program, `harvest` publishes"
        " rows from production. `warm` has the resources of the server."
    )
    resources: Resources | None = Field(
        None,
        description="CPU, memory and storage. Where the server has limits equal to its requests for cpu and memory,"
        " payload and harvest have such, too, and the pod is Guaranteed.",
    )
    security_context: ContainerSecurity | None = None
    volume_mounts: ByMountPath[VolumeMount] | None = Field(
        None, max_length=32, description="Further mounts, in the server and in the tuner."
    )
    env_from: Atomic[EnvFrom] | None = Field(None, max_length=16, description="Variables from ConfigMaps and Secrets.")


class PodSpec(Model):
    """Additions to the pods' spec."""

    node_selector: LabelMap | None = Field(None, description="Labels that a node must have.")
    affinity: Affinity | None = Field(None, description="Affinity, in addition to that for nodes with an accepted GPU.")
    tolerations: Atomic[Toleration] | None = Field(
        None, max_length=32, description="Further taints that are tolerated."
    )
    topology_spread_constraints: Atomic[TopologySpread] | None = Field(
        None, max_length=8, description="How pods are spread."
    )
    priority_class_name: ObjectName | None = Field(None, description="Priority class.")
    runtime_class_name: ObjectName | None = Field(None, description="Runtime class.")
    scheduler_name: ObjectName | None = Field(None, description="Scheduler.")
    security_context: PodSecurity | None = None
    volumes: ByName[Volume] | None = Field(None, max_length=32, description="Further volumes.")
    containers: ByName[ContainerAdditions] | None = Field(
        None, max_length=3, description="Additions to containers, by name."
    )
    host_network: bool | None = _never("hostNetwork")
    host_pid: bool | None = _never("hostPID")
    host_ipc: bool | None = _never("hostIPC")
    service_account_name: Annotated[str, Field(max_length=253)] | None = Field(
        None,
        description="Not accepted: pods have no access to the API server.",
        json_schema_extra=_refused("serviceAccountName", "self == ''"),
    )

    def container(self, name: str) -> ContainerAdditions:
        """What is added to the container of that name; for one that nothing is added to, an empty addition."""
        found = (container for container in self.containers or [] if container.name == name)
        return next(found, ContainerAdditions(name="server"))


class PodMetadata(Model):
    """Labels and annotations of the pods."""

    labels: LabelMap = Field(
        {},
        description="Labels of the pods. Those of hipbmm.io and app.kubernetes.io belong to the operator.",
        json_schema_extra=rule(
            "!self.exists(key, key.startsWith('hipbmm.io/') || key.startsWith('app.kubernetes.io/'))",
            "labels of hipbmm.io/ and app.kubernetes.io/ must not be set",
        ),
    )
    annotations: TextMap = Field(
        {},
        description="Annotations of the pods.",
        json_schema_extra=rule(
            "!self.exists(key, key.startsWith('hipbmm.io/'))", "annotations of hipbmm.io/ must not be set"
        ),
    )


class PodTemplate(Model):
    """Additions to the pods: fields that give a pod no further rights on its node."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()
