"""`status` of a HipbmmProfile, written by the operator alone: admission trusts it."""

from typing import Annotated, Literal

from pydantic import Field

from hipbmm_operator.api.fields import Atomic, ByImage, ByName, ByObject, ByType, Model, Quantity, Unique
from hipbmm_operator.api.spec import Argument
from hipbmm_operator.api.status import Condition, Count, LongText, Text, TuningStatus

MAX_WORKLOADS = 20
MAX_IMAGES = 16
MAX_IMAGE = 1024
"""Characters. The API server takes pods with longer names of images, which nobody can pull."""

Image = Annotated[str, Field(max_length=MAX_IMAGE)]


class Kernel(Model):
    """The kernel program."""

    config_map: Text = Field(description="ConfigMap of the namespace that holds it.")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)] = Field(
        description="sha256 of the program in it: pods refuse any other."
    )


class Setting(Model):
    """A variable of the program."""

    name: Annotated[str, Field(max_length=63, pattern=r"^HIPBMM_[A-Z_]+$")] = Field(description="Its name.")
    value: Annotated[str, Field(max_length=32768)] = Field("", description="Its value.")


class HarvestResources(Model):
    """What the sidecar asks for."""

    limits: Annotated[dict[Text, Quantity], Field(max_length=8)] = Field({}, description="Limits.")
    requests: Annotated[dict[Text, Quantity], Field(max_length=8)] = Field({}, description="Requests.")


class Harvest(Model):
    """The sidecar, where it is admitted."""

    resources: HarvestResources = Field(description="Resources of the sidecar.")


class Recipe(Model):
    """All that admission adds to a pod follows from this and the pod."""

    format: Annotated[int, Field(ge=1, le=1000)] = Field(description="Version of this object.")
    ready: bool = Field(description="Whether pods are injected now.")
    kernel: Kernel
    mirrors: Unique[Text] | None = Field(None, max_length=8, description="ConfigMaps with tuned rows, all optional.")
    claim: Text | None = Field(None, description="PersistentVolumeClaim with tuned rows.")
    model_config_: Text | None = Field(
        None, alias="modelConfig", description="ConfigMap with the model's config.json, optional."
    )
    container: Text | None = Field(None, description="Name of the vLLM container.")
    entrypoint: Atomic[Argument] | None = Field(None, max_length=16, description="Command of containers without one.")
    modes: Unique[Literal["Wrap", "EnvFile"]] = Field(
        max_length=2,
        description="How servers may be started: `Wrap` in front of their command; `EnvFile`, without one, by variables"
        " that the kubelet reads from a file (every node with AMD GPUs runs Kubernetes 1.35).",
    )
    env: ByName[Setting] = Field([], max_length=32, description="Settings of the program.")
    harvest: Harvest | None = None
    held_images: Unique[Image] | None = Field(
        None,
        max_length=MAX_IMAGES,
        description="Images whose new pods stay plain: another pod is the trial or is stuck, or the trial has failed.",
    )


class PodCounts(Model):
    """The pods that the profile is for."""

    matched: Count = Field(0, description="Pods that exist, without those that skip it (`hipbmm.io/skip`).")
    injected: Count = Field(0, description="Those that were injected.")
    progress: Annotated[str, Field(max_length=32)] = Field("", description="`injected/matched`.")
    warm: Count = Field(0, description="Those that serve with a complete table.")
    warm_progress: Annotated[str, Field(max_length=32)] = Field("", description="`warm/injected`.")


class Workload(Model):
    """What owns some of the pods."""

    kind: Text = Field(description="Kind of the owner, such as Deployment.")
    name: Text = Field(description="Its name.")
    injected: Count = Field(0, description="Pods that were injected.")
    not_injected: Count = Field(0, description="Pods that were not.")
    warm: Count = Field(0, description="Pods that serve with a complete table.")
    reason: Annotated[str, Field(max_length=64)] = Field(
        "", description="Why pods are plain, not warm, or without their table in memory."
    )
    message: LongText = Field("", description="The same for people, with the remedy.")
    plan: Text | None = Field(None, description="Where the plan came from, as the pods report it.")


class Canary(Model):
    """An image that was tried, or is."""

    image: Image = Field(description="The serving image.")
    kernel: Annotated[str, Field(max_length=64)] = Field(description="sha256 of the kernel program it was tried with.")
    state: Literal["Testing", "Proved", "Refused"] = Field(description="How far the trial is.")
    pod: Text = Field("", description="The pod that tries or tried it.")


class Trip(Model):
    """Why no more pods are injected, when pods got stuck because of us."""

    generation: Annotated[int, Field(ge=0)] = Field(description="Generation of the spec that this is about.")
    kernel: Annotated[str, Field(max_length=64)] = Field(description="sha256 of the kernel program it is about.")
    pods: Atomic[Text] = Field(max_length=8, description="The pods that were stuck.")
    message: LongText = Field(description="What they were stuck in, for people.")


class ProfileStatus(Model):
    """The observed state."""

    observed_generation: Annotated[int, Field(ge=-1)] = Field(
        description="Generation of the spec that this is about; -1 before any was seen."
    )
    admission: Literal["Policy", "Webhook", "None"] = Field("None", description="What injects pods in this cluster.")
    injection: Recipe | None = Field(None, description="The recipe: what admission adds.")
    pods: PodCounts | None = None
    tuning: TuningStatus | None = None
    workloads: ByObject[Workload] = Field(
        [], max_length=MAX_WORKLOADS, description="Owners of the pods; those with a problem first."
    )
    canaries: ByImage[Canary] = Field([], max_length=MAX_IMAGES, description="Images that were tried.")
    tripped: Trip | None = None
    conditions: ByType[Condition] = Field([], max_length=16, description="The conditions. `Ready` sums the others up.")
