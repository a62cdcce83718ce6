"""All names that admission writes into a foreign pod, or reads from it. docs/pod-contract.md is the other side."""

FORMAT = 1
"""Of the recipe. Admission leaves a pod as it is when a profile's recipe has another format."""

LABEL_PROFILE = "hipbmm.io/profile"
"""On a pod: name of the HipbmmProfile of its namespace that it asks for."""
LABEL_NAMESPACE = "hipbmm.io/injection"
"""On a namespace, `enabled`: profiles may choose its pods by labels of their own (`spec.match.podLabels`)."""
LABEL_ADMISSION, ADMISSION = "hipbmm.io/admission", "injection"
"""On the objects that make admission inject. Helm replaces the label that says who manages them."""
LABEL_DEPLOYMENT = "hipbmm.io/deployment"
"""On the pods of a HipbmmDeployment, which have all of it already."""
ANNOTATION_SKIP = "hipbmm.io/skip"
"""On a pod, `true`: leave it as it is."""
ANNOTATION_MIRROR = "kubernetes.io/config.mirror"
"""On what a kubelet shows of a static pod, which runs as its file says."""
ANNOTATION_CONTAINER = "hipbmm.io/container"
"""On a pod: name of its vLLM container."""

GROUP_LABELS = (
    "leaderworkerset.sigs.k8s.io/name",
    "ray.io/cluster",
    "grove.io/podclique",
    "rolebasedgroup.workloads.x-k8s.io/name",
    "rbg.workloads.x-k8s.io/group-name",
    "modelserving.volcano.sh/name",
    "pod-group.scheduling.sigs.k8s.io/name",
)
"""On pods that live and die together: one container that starts again takes the whole group down, so no sidecar."""

WARM = "hipbmm-warm"
HARVEST = "hipbmm-harvest"
CONTAINERS = (WARM, HARVEST)

HOME_VOLUME = "hipbmm-home"
KERNEL_VOLUME = "hipbmm-kernel"
MIRROR_VOLUME = "hipbmm-mirror"
STORE_VOLUME = "hipbmm-store"
MODEL_VOLUME = "hipbmm-model-config"
VOLUMES = (HOME_VOLUME, KERNEL_VOLUME, MIRROR_VOLUME, STORE_VOLUME, MODEL_VOLUME)

HOME = "/hipbmm"
HOMES = (HOME, "hipbmm")
"""The kubelet puts a relative path of a mount below the root."""
PROGRAM = "/hipbmm/program"
MIRROR = "/hipbmm/mirror"
STORE = "/hipbmm/store"
MODEL = "/hipbmm/model-config"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where the API server mounts the token of a pod's account."""

ENV_FILE = "env"
"""Relative to the volume: written by `warm`, read by the kubelet at each start of the server."""
ENV_KEYS = (
    "VLLM_ROCM_USE_AITER",
    "VLLM_ROCM_USE_AITER_LINEAR",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM",
    "HIP_ONLINE_TUNING",
    "PYTHONPATH",
    "HIPBMM_DISPATCH_TABLE",
    "AITER_JIT_DIR",
)
"""What `warm` may decide for a server whose command is in its image."""

MAX_COPIED = 250_000
"""Bytes of a server's command, arguments and variables: etcd takes 1.5 MiB, and a copy of them is added."""

WRAP = "Wrap"
ENV_FILE_MODE = "EnvFile"

MARK = "hipbmm"
"""`$0` of our shell texts: by it a wrapped command is known."""

KERNEL_KEY = "hipbmm_kernel.zip"
"""Key of the kernel program in its ConfigMap."""

GPUS = (
    "amd.com/gpu",
    *(f"amd.com/{mode}_nps{n}" for mode in ("spx", "dpx", "tpx", "qpx", "cpx") for n in (1, 2, 4, 8)),
)
"""Resources that are GPUs or partitions of one; `amd.com/nic` is none."""
WAITS = ("wait-gcs-ready", "grove-initc")
WAIT_PREFIX = "wait-for-leader"
"""Init containers that wait for another pod: `warm` goes before them, or two waits add up."""
NETWORK = (
    "istio-init",
    "istio-validation",
    "linkerd-init",
    "linkerd-network-validator",
    "kuma-init",
    "kuma-validation",
    "consul-connect-inject-init",
)
PROXIES = ("istio-proxy", "linkerd-proxy", "kuma-sidecar")
"""Init containers after which there is no network until a proxy runs; a native proxy runs before the next one."""
