"""The labels that detection reads. All others are dropped first, so no other label can influence a detection."""

from typing import Final

PLAIN_PREFIX: Final = "amd.com/gpu."
BETA_PREFIX: Final = "beta.amd.com/gpu."
# The labeller's code writes "gpu.", the documentation and the gpu-operator's clean-up do not.
PARTITION_KEYS: Final = ("amd.com/gpu.compute-memory-partition", "amd.com/compute-memory-partition")
NFD_PREFIX: Final = "feature.node.kubernetes.io/"
NFD_PCI_PREFIX: Final = NFD_PREFIX + "pci-"
NFD_MI300X_LABEL: Final = NFD_PREFIX + "amd-gpu-mi300x"
NFD_MI210_LABEL: Final = NFD_PREFIX + "amd-gpu-mi210"
NFD_GPU_LABELS: Final = (NFD_PREFIX + "amd-gpu", NFD_PREFIX + "amd-vgpu")
AIM_PREFIX: Final = NFD_PREFIX + "aim-accelerator."
UNHEALTHY_PREFIX: Final = "metricsexporter.amd.com.gpu."
PASSTHROUGH_PREFIX: Final = "gpu.operator.amd.com/"
# A person's own word about a node, for machines that nothing else identifies.
OVERRIDE_LABEL: Final = "hipbmm.io/gpu-product"
CLOUD_MODEL_LABELS: Final = ("doks.digitalocean.com/gpu-model", "skypilot.co/accelerator")
INSTANCE_TYPE_LABELS: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
CLOUD_BRAND_LABELS: Final = ("doks.digitalocean.com/gpu-brand", "accelerator")

_PREFIXES: Final = (
    "amd.com/",
    "beta.amd.com/",
    PASSTHROUGH_PREFIX,
    UNHEALTHY_PREFIX,
    NFD_PCI_PREFIX,
    NFD_PREFIX + "amd-",
    AIM_PREFIX,
)
_NAMES: Final = frozenset({OVERRIDE_LABEL, *CLOUD_MODEL_LABELS, *INSTANCE_TYPE_LABELS, *CLOUD_BRAND_LABELS})


def is_relevant(key: str) -> bool:
    """Whether detection reads a label."""
    return key in _NAMES or key.startswith(_PREFIXES)
