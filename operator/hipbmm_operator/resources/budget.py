"""The PodDisruptionBudget: one replica at a time may be taken away."""

from typing import Any

from hipbmm_operator import names
from hipbmm_operator.resources.owner import Owner

Json = dict[str, Any]


def build(owner: Owner) -> Json:
    """The budget, for more than one replica (with one it would block every drain)."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owner.metadata(),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector_labels(owner.name)},
        },
    }
