"""`status` of a HipbmmDeployment: bounded counts and references, written by the operator alone."""

from typing import Annotated, Literal

from pydantic import Field

from hipbmm_operator.api.fields import MAX_INT32, Atomic, ByKey, ByReason, ByType, Model

Phase = Literal["Pending", "Tuning", "Starting", "Running", "Updating", "Degraded", "Suspended", "Failed"]
Text = Annotated[str, Field(max_length=256)]
LongText = Annotated[str, Field(max_length=1024)]
Count = Annotated[int, Field(ge=0, le=MAX_INT32)]
Speedup = Annotated[
    str,
    Field(
        max_length=16,
        description="Time of hipBLASLt's own choice over tuned time, geometric mean of the measured rows.",
    ),
]
Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]

MAX_FAILURES = 5
UNSEEN: dict[str, object] = {"observedGeneration": -1, "phase": "Pending"}
"""The status before the operator has seen the resource. Without one kstatus takes the resource for finished."""


class Condition(Model):
    """A metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Name of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    observed_generation: Annotated[int, Field(ge=0)] = Field(description="Generation of the spec it is about.")
    last_transition_time: Time = Field(description="When `status` last changed.")
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9]*$")] = Field(
        description="Why, in one CamelCase word."
    )
    message: Annotated[str, Field(max_length=2048)] = Field(description="Why, for people.")


class NodeCount(Model):
    """Nodes that share one reason."""

    reason: Annotated[str, Field(max_length=64)] = Field(description="State of these nodes, or why they do not fit.")
    nodes: Count = Field(description="How many.")


class HardwareStatus(Model):
    """The GPUs that pods run on, or could."""

    product: Text | None = Field(None, description="Product, when all nodes that fit have the same.")
    arch: Text | None = Field(None, description="Architecture, such as gfx942.")
    compute_units: Count | None = Field(None, description="Compute units of one device.")
    partition: Text | None = Field(None, description="Compute partition, such as SPX.")
    nodes: Count = Field(0, description="Nodes that fit and can take pods now.")
    reasons: ByReason[NodeCount] = Field([], max_length=16, description="The other AMD nodes, counted by reason.")


class StackStatus(Model):
    """What the rows are valid for."""

    arch: Text | None = Field(None, description="Architecture, such as gfx942.")
    compute_units: Count | None = Field(None, description="Compute units of one device.")
    product: Text | None = Field(None, description="Product.")
    partition: Text | None = Field(None, description="Compute partition.")
    memory_partition: Text | None = Field(None, description="Memory partition.")
    hipblaslt: Text | None = Field(None, description="Version of hipBLASLt.")
    aiter: Text | None = Field(None, description="Version of AITER.")
    rocm: Text | None = Field(None, description="Version of ROCm.")
    fp8: Text | None = Field(None, description="FP8 type.")
    simulated: bool | None = Field(None, description="True when no real GPU was used: such rows match no real stack.")


class TuningStatus(Model):
    """Tuning of the stack that the pods run."""

    key: Text | None = Field(None, description="Key of the stack.")
    state: Literal["Pending", "Running", "Complete", "Partial", "Unsupported", "Disabled", "NoPlan", "Failed"] = Field(
        description="Result of tuning, or how far it is."
    )
    problems: Count = Field(0, description="Matrix shapes (problems) that this model needs.")
    tuned: Count = Field(0, description="Matrix shapes that have a row in the table.")
    progress: Annotated[str, Field(max_length=32)] = Field(
        "", description="`tuned/problems`; `verified n/problems` while the rows are checked."
    )
    failed: Count = Field(0, description="Matrix shapes that could not be tuned.")
    source: Literal["Tuned", "Restored", "Mixed", "None"] | None = Field(
        None, description="Where the rows came from when this stack was first warm."
    )
    seconds: Count | None = Field(None, description="Time that tuning took in the pod that tuned.")
    geomean_speedup: Speedup | None = None
    plan_source: Text | None = Field(
        None,
        description="`Image` (its own vLLM answered), `Config` (planned from config.json), `Explicit` or `Unknown`.",
    )
    notes: Atomic[Text] = Field(
        [], max_length=8, description="What the pod could not read, and what is unusual about its plan."
    )
    unproven: Atomic[Text] = Field(
        [],
        max_length=8,
        description="Matrix shapes for which no kernel is proven right: HIPBMM is off for the server because of them.",
    )
    unplanned: Count = Field(0, description="Rows in use that the plan does not name: learned in production.")
    dispatch: Literal["Memory", "File"] | None = Field(
        None, description="Where the servers find their rows: in memory, or in the file that AITER reads."
    )
    dispatch_reason: Text | None = Field(None, description="Why it is the file, unless the spec asks for it.")
    stack: StackStatus | None = None
    last_error: LongText | None = Field(None, description="The last error of the tuner.")


class StackReplicas(Model):
    """The replicas of one stack: of one kind of GPU, where a resource runs on several."""

    key: Text = Field(description="Key of the stack.")
    product: Text | None = Field(None, description="Product, as the pods report it.")
    partition: Text | None = Field(None, description="Compute partition.")
    replicas: Count = Field(0, description="Pods on this stack that have reported.")
    problems: Count = Field(0, description="Matrix shapes (problems) that this model needs there.")
    tuned: Count = Field(0, description="Matrix shapes that have a row in the table of this stack.")
    warm: Count = Field(0, description="Pods that serve with a complete table.")
    speedup: Speedup | None = None


class ServiceStatus(Model):
    """Where clients reach the server."""

    name: Text = Field(description="Name of the Service.")
    url: Text = Field(description="Base of its URLs inside the cluster; `/v1` of the OpenAI API is below it.")


class CacheStatus(Model):
    """The store."""

    claim_name: Text | None = Field(None, description="PersistentVolumeClaim of the store.")
    access_modes: Atomic[Text] = Field([], max_length=4, description="Access modes of the claim.")
    mirror: Text | None = Field(None, description="ConfigMap that mirrors the tuned rows.")
    rows: Count | None = Field(None, description="Rows that are served.")
    digest: Text | None = Field(None, description="Digest of the served table.")


class RevisionStatus(Model):
    """The pod template."""

    current: Text | None = Field(None, description="ControllerRevision that the Deployment uses.")
    updated: Count = Field(0, description="Pods of the current template; a restart of the Deployment makes a new one.")
    serving: Count = Field(
        0, description="Pods of the current template that serve. The rollout is over when all replicas do."
    )
    outdated: bool = Field(
        False,
        description="The installed operator would render another template. The annotation hipbmm.io/roll-forward with"
        " any new value does so.",
    )


class Failure(Model):
    """One failure of a pod."""

    pod: Text = Field(description="Name of the pod.")
    container: Text | None = Field(None, description="Name of the container.")
    reason: Text = Field(description="Why, in one word.")
    message: LongText = Field(description="Why, in the words of Kubernetes or of the container.")
    exit_code: Annotated[int, Field(ge=-MAX_INT32, le=MAX_INT32)] | None = Field(None, description="Exit code.")
    time: Time | None = Field(None, description="When it happened.")


class Status(Model):
    """The observed state."""

    observed_generation: Annotated[int, Field(ge=-1)] = Field(
        description="Generation of the spec that this is about; -1 before any was seen."
    )
    phase: Phase = Field(description="Summary for people; do not branch on it, use conditions.")
    replicas: Count = Field(0, description="Pods that exist.")
    ready_replicas: Count = Field(0, description="Pods that serve.")
    warm_replicas: Count = Field(0, description="Pods that serve with a complete table.")
    warm: Annotated[str, Field(max_length=16)] = Field("", description="`warmReplicas/replicas asked for`.")
    selector: Annotated[str, Field(max_length=512)] = Field("", description="Label selector of the pods, for scaling.")
    hardware: HardwareStatus | None = None
    tuning: TuningStatus | None = None
    stacks: ByKey[StackReplicas] = Field(
        [],
        max_length=16,
        description="The stacks that replicas run on, one for each kind of GPU; `tuning` has their sums.",
    )
    cache: CacheStatus | None = None
    service: ServiceStatus | None = None
    revision: RevisionStatus | None = None
    failures: Atomic[Failure] = Field(
        [], max_length=MAX_FAILURES, description="Failures of pods now; empty if there are none."
    )
    conditions: ByType[Condition] = Field([], max_length=16, description="The conditions. `Ready` sums the others up.")
