"""`spec` of a HipbmmProfile: how pods that somebody else makes get tuned rows. Nothing in it runs as code."""

from typing import Annotated, Literal

from pydantic import Field

from hipbmm_operator.api.common import ClaimRef, NameRef
from hipbmm_operator.api.fields import Atomic, DnsLabel, LabelMap, Model, ModelName
from hipbmm_operator.api.spec import MAX_GPUS, Argument, TuningWork


class Match(Model):
    """Which pods the profile is for, besides those that name it."""

    pod_labels: LabelMap = Field(
        {},
        description="Pods with all of these labels, for owners that do not pass the label on. The namespace must have"
        " the label `hipbmm.io/injection: enabled`. A pod that names a profile in its label `hipbmm.io/profile` is not"
        " chosen by this. Two profiles that could choose the same pod are both not ready (Conflict), unless one is"
        " suspended.",
    )


class ProfileModel(Model):
    """The model, where the command line does not say it."""

    name: ModelName | None = Field(
        None, description="A Hugging Face id, or a path in the pod. Default: what the server's command line says."
    )
    tensor_parallel: Annotated[int, Field(ge=1, le=MAX_GPUS)] | None = Field(
        None, description="Tensor-parallel size. Default: what the server's command line says."
    )
    config_map_ref: NameRef | None = Field(
        None, description="A ConfigMap with the key `config.json` of the model, if pods cannot read the model itself."
    )


class ProfileTuning(TuningWork):
    """What a pod tunes before its server starts."""

    budget_seconds: int = Field(
        180,
        ge=1,
        le=3600,
        description="Time for tuning and verification in one pod; then the server starts with the rows so far. What"
        " creates the pods waits for this: 180 fits into the deadlines of all that docs/any-pod.md names.",
    )


class ProfileCache(Model):
    """Where tuned rows are kept."""

    mirror: Literal["Always", "Never"] = Field(
        "Always",
        description="`Always`: in a ConfigMap of the namespace, which each pod reads and none needs. The mirrors of the"
        " namespace's HipbmmDeployments are read as well. `Never`: only on the volume.",
    )
    pvc: ClaimRef | None = Field(
        None,
        description="A volume as well. It must be bound and ReadWriteMany, or pods would wait for it: otherwise the"
        " profile is not ready.",
    )


class ProfileSpec(Model):
    """The desired state."""

    match: Match = Match()
    container: DnsLabel | None = Field(
        None,
        description="Name of the vLLM container. Default: the only container with a limit of a resource `amd.com/`."
        " The pod's annotation `hipbmm.io/container` wins.",
    )
    entrypoint: Atomic[Argument] = Field(
        [],
        max_length=16,
        description="ENTRYPOINT of the image, for containers without `command` where nodes are older than Kubernetes"
        " 1.35. Nobody can look it up: it is started as it is written here.",
    )
    model: ProfileModel = ProfileModel()
    tuning: ProfileTuning = ProfileTuning()
    cache: ProfileCache = ProfileCache()
    harvest: Literal["Auto", "Never"] = Field(
        "Auto",
        description="A sidecar that publishes what the server learns: `Auto` where the namespace admits it and the pod"
        " is in no group, `Never` not at all.",
    )
    pin: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$", max_length=64)] = Field(
        "",
        description="sha256 of the kernel program that pods get, whatever the operator brings. Its ConfigMap must be in"
        " the namespace. Empty: the operator's own.",
    )
    preflight: bool = Field(
        True,
        description="Before a workload's pods are injected, create one with and one without injection as a dry run, and"
        " inject none if only the one with injection is refused.",
    )
    suspend: bool = Field(False, description="Inject no more pods. Pods that run stay as they are.")
