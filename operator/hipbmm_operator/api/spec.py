"""`spec` of a HipbmmDeployment.

Defaults are applied here and not stored by the API server: what the user wrote stays distinct from a default, which a
new operator may change.
"""

from typing import Annotated, Literal

from pydantic import Field

from hipbmm_operator.api.common import ClaimRef, EnvVar, NameRef
from hipbmm_operator.api.fields import (
    AbsolutePath,
    Atomic,
    ByName,
    ConfigMapKey,
    Image,
    LabelMap,
    Model,
    ModelName,
    ObjectName,
    Port,
    Quantity,
    RelativePath,
    TextMap,
    Unique,
    checked,
    no_parent,
)
from hipbmm_operator.api.pod_template import PodTemplate

Product = Literal["MI300A", "MI300X", "MI308X", "MI325X", "MI350P", "MI350X", "MI355X"]
AccessMode = Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

MAX_TOKENS = 512
"""AITER looks up and tunes nothing above this M (`decode_max_n` of its hipbsolgemm.cu)."""
MAX_GPUS = 64


class ModelVolume(ClaimRef):
    """A PersistentVolumeClaim with the model, mounted at /models."""

    sub_path: RelativePath | None = Field(
        None,
        description="Directory inside the volume that is mounted. Must not contain `..`.",
        json_schema_extra=no_parent("subPath"),
    )


class TokenSecretRef(Model):
    """Secret with a Hugging Face token. The containers get it as HF_TOKEN."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: ConfigMapKey = Field("HF_TOKEN", description="Key in the Secret.")


class ModelSpec(Model):
    """What is served."""

    name: ModelName = Field(
        description="What `vllm serve` gets: a Hugging Face id such as `Qwen/Qwen3-32B-FP8-dynamic`, or a path such as"
        " `/models/qwen3-32b` inside spec.model.volume.",
    )
    served_name: (
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]*$")] | None
    ) = Field(
        None,
        description="Name under which clients ask for the model (`--served-model-name`). Default: spec.model.name.",
    )
    volume: ModelVolume | None = None
    config_map_ref: NameRef | None = Field(
        None,
        description="A ConfigMap with the key `config.json` of the model, if the model itself cannot be read before the"
        " server starts. A change of its content rolls the pods, within about a minute.",
    )
    token_secret_ref: TokenSecretRef | None = None


class Parallelism(Model):
    """How one replica is spread over GPUs."""

    model_config = checked(
        "(has(self.tensor) ? self.tensor : 1) * (has(self.pipeline) ? self.pipeline : 1)"
        " * (has(self.data) ? self.data : 1) <= 64",
        "tensor * pipeline * data must not be more than 64 GPUs",
    )

    tensor: int = Field(1, ge=1, le=MAX_GPUS, description="Tensor-parallel size (`--tensor-parallel-size`).")
    pipeline: int = Field(1, ge=1, le=16, description="Pipeline-parallel size (`--pipeline-parallel-size`).")
    data: int = Field(
        1,
        ge=1,
        le=MAX_GPUS,
        description="Data-parallel size (`--data-parallel-size`) inside one pod, each rank on GPUs of its own.",
    )


class Gpu(Model):
    """Which GPUs, and how a pod asks for them."""

    model_config = checked(
        "!(has(self.deviceClassName) && has(self.resourceName))",
        "deviceClassName and resourceName are two ways to ask for GPUs: give one",
    )

    products: Unique[Product] | None = Field(
        None,
        min_length=1,
        max_length=7,
        description="Products that are accepted. Default: every MI3xx. Pods run only on nodes whose labels identify one"
        " of them; with spec.gpu.deviceClassName, on such devices.",
    )
    resource_name: Annotated[str, Field(max_length=64, pattern=r"^amd\.com/(gpu|(spx|dpx|tpx|qpx|cpx)_nps[1248])$")] = (
        Field("amd.com/gpu", description="The resource that the device plugin offers: whole GPUs, or a partition.")
    )
    device_class_name: ObjectName | None = Field(
        None,
        description="Ask for GPUs by a claim on devices of this DeviceClass (dynamic resource allocation, Kubernetes"
        " 1.34 or newer, the driver gpu.amd.com) instead of by spec.gpu.resourceName.",
    )
    tolerations: Literal["default", "none"] = Field(
        "default",
        description="`default` tolerates the taint amd.com/gpu:NoSchedule, which keeps other pods away from GPU nodes;"
        " `none` tolerates nothing. Taints of driver upgrades and broken GPUs are never tolerated.",
    )


Argument = Annotated[str, Field(max_length=4096)]


class Server(Model):
    """The server process."""

    command: Atomic[Argument] = Field(
        default=["vllm", "serve"], min_length=1, max_length=16, description="Command in front of the model's name."
    )
    args: Atomic[Argument] = Field(
        [],
        max_length=256,
        description="Arguments after the model's name, passed as they are, without a shell. --tensor-parallel-size,"
        " --pipeline-parallel-size, --data-parallel-size, --served-model-name and --port are added unless they are"
        " given here. TLS flags make the probes HTTPS.",
    )
    env: ByName[EnvVar] = Field(
        [],
        max_length=128,
        description="Environment of the server and of the tuner before it. A value given here wins over the operator's"
        " own; if it contradicts the pod contract, ConfigValid reports it (ConflictingEnv).",
    )
    port: Port = Field(8000, description="Port on which the server listens (`--port`).")
    working_dir: AbsolutePath | None = Field(
        None, description="Working directory of the server. Default: /hipbmm/work, where AITER's table is."
    )
    dispatch: Literal["Auto", "Memory", "File"] = Field(
        "Auto",
        description="Where the server finds a tuned row: `Memory` in its own memory, by a plugin of vLLM; `File` in the"
        " file that AITER reads at each call; `Auto`: `Memory` where the image has shown that it works.",
    )
    plugin: bool = Field(
        False,
        description="Give a vLLM that has no HIPBMM kernel (0.22) the bundled one, by a plugin that vLLM loads from the"
        " pod's own disk. A vLLM with the kernel (0.23 and later) is left as it is.",
    )
    shm_size: Quantity = Field(
        "16Gi",
        description="Size of /dev/shm, the shared memory of tensor-parallel workers; it counts as memory of the pod. A"
        " volume of your own that is mounted there takes its place.",
    )
    startup_seconds: int = Field(
        1800, ge=10, le=86400, description="Time the server may take from its start until /health answers."
    )
    grace_period_seconds: int = Field(
        60, ge=0, le=3600, description="Time that a pod has to finish its requests when it is stopped."
    )


class Linear(Model):
    """One linear layer of the model, as one GPU (rank) computes it."""

    n: int = Field(
        ge=1,
        le=1 << 20,
        description='N: weight rows, the outputs of one rank. Quote it, `"n": 10240`: YAML reads a bare n as false.',
    )
    k: int = Field(ge=1, le=1 << 20, description="K: weight columns, the input features of one rank.")
    bias: bool = Field(False, description="Whether the linear has a bias.")


class TuningWork(Model):
    """What is tuned, and how: the part that a HipbmmProfile has as well."""

    enabled: bool = Field(True, description="Tune shapes without a row. With `false` pods still use rows of the store.")
    budget_seconds: int = Field(
        1800, ge=1, le=86400, description="Time for tuning and verification in one pod; then the rows so far are used."
    )
    linears: Atomic[Linear] = Field(
        [], max_length=256, description="Linear layers, by size, to tune in addition to those of the model."
    )
    tokens: Unique[Annotated[int, Field(ge=1, le=MAX_TOKENS)]] | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Numbers of tokens (M) to tune, instead of those for which vLLM captures graphs.",
    )
    search: Literal["Online", "Exhaustive"] = Field(
        "Online",
        description="Which kernels are tried for a matrix shape: `Online` the candidates that AITER itself tries in"
        " production, `Exhaustive` all that hipBLASLt has, which takes many times longer.",
    )
    verify: bool = Field(True, description="Compare each row with a reference, and with hipBLASLt's own choice.")
    retune_token: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9._-]*$")] = Field(
        "", description="Any new value tunes everything again; rows tuned under another token are not used."
    )


class Tuning(TuningWork):
    """What is tuned before the first request."""

    policy: Literal["ServeUntuned", "Block"] = Field(
        "ServeUntuned", description="If the table is not complete: serve anyway, or do not start the server."
    )
    harvest: bool = Field(
        True, description="Run a sidecar that publishes what the server learns in production, and serves metrics."
    )


class Claim(Model):
    """The PersistentVolumeClaim that holds the store."""

    claim_name: ObjectName | None = Field(
        None,
        description="Name of the PersistentVolumeClaim. Several HipbmmDeployments may share one."
        " Default: `<name>-store`.",
    )
    create: bool = Field(
        True,
        description="Create the claim if it does not exist. With `false` and no claimName no volume is used; see"
        " spec.cache.mirror.",
    )
    storage_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        None, description='Storage class of a created claim. Default: the cluster\'s default class. `""`: no class.'
    )
    size: Quantity = Field("1Gi", description="Size of a created claim. It may grow, not shrink.")
    access_modes: Unique[AccessMode] = Field(
        default=["ReadWriteMany"],
        min_length=1,
        max_length=3,
        description="Access modes of a created claim; they cannot change later. Replicas share a volume only if it is"
        " ReadWriteMany; see spec.cache.mirror for the others.",
    )
    retain: bool = Field(True, description="Keep a created claim with its rows when the HipbmmDeployment is deleted.")


class Cache(Model):
    """Where tuned rows live."""

    pvc: Claim = Claim()
    mirror: Literal["Auto", "Always", "Never"] = Field(
        "Auto",
        description="Keep the tuned rows in a ConfigMap that every pod reads: `Auto` instead of a volume that is not"
        " ReadWriteMany, and if there is no volume; `Always` in addition to the volume; `Never` not at all.",
    )


class Rollout(Model):
    """How a change reaches the pods."""

    strategy: Literal["Auto", "Surge", "InPlace", "Recreate"] = Field(
        "Auto",
        description="`Surge` starts a new pod before an old one stops and needs room for it; `InPlace` stops an old one"
        " first; `Recreate` stops all first; `Auto` surges, and continues in place if the new pod finds no room.",
    )
    untuned: Literal["Hold", "Replace"] = Field(
        "Hold",
        description="If a new pod serves without a complete table, or without HIPBMM, and the old pods are warm:"
        " `Hold` keeps the old pods until the cause is repaired, `Replace` lets the rollout continue.",
    )


class Monitor(Model):
    """The ServiceMonitor, for the Prometheus operator."""

    enabled: bool = Field(
        False, description="Create a ServiceMonitor for the metrics of server and sidecar. Its CRD must exist."
    )
    interval: Annotated[str, Field(max_length=16, pattern=r"^([0-9]+(ms|s|m|h))*$")] = Field(
        "", description="Time between two scrapes, such as 30s. Empty: Prometheus' own."
    )
    labels: LabelMap = Field({}, description="Labels that your Prometheus selects monitors by.")


class ServiceSpec(Model):
    """The Service in front of the replicas."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Type of the Service.")
    port: Port = Field(80, description="Port of the Service.")
    annotations: TextMap = Field({}, description="Annotations of the Service.")
    monitor: Monitor = Monitor()


class Spec(Model):
    """The desired state."""

    replicas: int = Field(
        1,
        ge=0,
        le=1000,
        description="Number of serving pods. The first rollout starts with one, which tunes for all.",
    )
    image: Image = Field(
        description="The serving image, by tag or digest, with vLLM, AITER and hipBLASLt; the tuner runs in it too."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="Pull policy of the serving image. Default: Kubernetes decides by the tag."
    )
    image_pull_secrets: ByName[NameRef] = Field([], max_length=16, description="Secrets for pulling both images.")
    model: ModelSpec
    parallelism: Parallelism = Parallelism()
    gpu: Gpu = Gpu()
    server: Server = Server()
    tuning: Tuning = Tuning()
    cache: Cache = Cache()
    rollout: Rollout = Rollout()
    service: ServiceSpec = ServiceSpec()
    suspend: bool = Field(False, description="Stop all pods and keep everything else.")
    pod_template: PodTemplate = PodTemplate()
