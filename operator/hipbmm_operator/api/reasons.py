"""All reasons of the operator's own: of conditions, of `status.failures` and of Events.

docs/troubleshooting.md explains each. The type checker holds the code to these lists; a reason in the words of somebody
else (a pod's report, the kubelet) is marked by `Foreign`.
"""

from typing import Literal, NewType, get_args

Foreign = NewType("Foreign", str)
"""A reason that a pod or Kubernetes gave: docs/pod-contract.md has those of `warm`."""

# fmt: off
Config = Literal[
    "Valid", "InvalidSpec", "ConflictingArgs", "ConflictingEnv", "UnknownField", "Rejected", "MonitorNotInstalled",
    "ConfigMissing", "ConfigInvalid", "OutdatedCRD",
]
Storage = Literal[
    "Bound", "Mirrored", "NotConfigured", "Creating", "ClaimNotFound", "ClaimPending", "ClaimTerminating", "ClaimLost",
    "WaitForFirstConsumer", "StorageClassNotFound", "NoDefaultStorageClass", "ProvisioningFailed",
    "AccessModeUnsupported", "NoSpaceLeft", "StoreReadOnly", "StoreNotWritable",
    "MirrorTooLarge", "MirrorRejected", "MirrorUnreadable",
]
Unfit = Literal[
    "NodeCordoned", "NodeNotReady", "NodeTainted", "NodeTerminating", "NoAllocatable", "NotEnoughGPUs",
    "LabelsMissing", "PartitionMismatch", "ResourceMismatch", "NoDriver", "Conflict", "Mixed", "Excluded",
    "UnknownAMD", "ProductMismatch", "NotMI3xx",
]
"""Why a node with AMD GPUs is not counted, the closest to fitting first: that is the reason of the condition."""
Hardware = Literal[
    "NodesMatched", "MixedArchitectures", "NodesNotReadable", "NoMatchingNodes", "NotAvailable", Unfit,
]
Tuning = Literal["Tuning", "TunerStalled", "MixedStacks"]
Serving = Literal[
    "AllReplicasWarm", "ServingFromFile", "ServingUntuned", "ServingWithoutTable", "ServingWithoutHipbmm",
    "ServingWithoutAiter", "ServingPreviousRevision", "NoReplicas", "NoReplicasAsked", "NotEnoughReplicas",
    "MinimumReplicasAvailable", "MinimumReplicasUnavailable", "Suspended",
]
Rollout = Literal[
    "Pending", "RolloutComplete", "RollingOut", "UpdatingInPlace", "HeldAtOne", "HeldByStack",
    "HeldUntuned",
    "WaitingForSpareGPU", "WaitingForRoom", "ProgressDeadlineExceeded",
]
Injection = Literal[
    "Injecting", "Suspended", "KernelUnavailable", "PreflightRefused", "PreflightDone", "PreflightOff",
    "PreflightUnknown", "PolicyInstalled", "WebhookInstalled", "NoAdmission",
]
"""Of a HipbmmProfile."""
Plain = Literal[
    "Skipped", "NotReady", "NoGpuContainer", "SeveralGpuContainers", "NamesTaken", "TooLarge", "Canary",
    "EntrypointUnknown", "Predates", "Stuck",
]
"""Why pods of a workload are not injected, or are stuck: `status.workloads` of a HipbmmProfile."""
Write = Literal["NameConflict", "Forbidden", "Rejected", "Conflict", "ApiUnavailable"]
Refusal = Literal[
    "QuotaExceeded", "PodSecurityRejected", "LimitRangeRejected", "NamespaceTerminating", "PodCreationRefused",
]
Image = Literal["ImageNotFound", "ImagePullUnauthorized", "PullSecretNotFound", "ImagePullFailed", "InvalidImageName"]
Scheduling = Literal[
    "InsufficientGPU", "InsufficientResources", "AntiAffinity", "TopologySpread", "SchedulingGated",
    "NoMatchingNodes", "UntoleratedTaint", "NodesCordoned", "StorageNotReady", "Unschedulable",
    "SchedulerNotResponding",
]
Container = Literal[
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "SecretNotFound", "ConfigMapNotFound",
    "RunAsNonRootRefused", "OOMKilled", "TunerCrashed", "PayloadFailed", "ServerCrashed", "StartupDeadlineExceeded",
    "ContainerFailed", "NotReady", "NodeNotResponding", "OutOfGPU", "OutOfResources", "PodFailed",
]
Kubelet = Literal["Evicted", "UnexpectedAdmissionError", "TopologyAffinityError"]
"""Of pods that a node stopped or refused: the kubelet's own words, of which there are more."""
Event = Literal[
    "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer",
    "ProvisioningFailed", "WaitForFirstConsumer", "FailedResourceClaimCreation",
]
"""Of Kubernetes' Events, which say why a pod or a claim is stuck."""

Reason = Literal[
    Config, Storage, Hardware, Tuning, Serving, Rollout, Injection, Plain, Write, Refusal, Image, Scheduling, Container,
    Kubelet, Event,
]
# fmt: on

ALL = frozenset[str](get_args(Reason))
