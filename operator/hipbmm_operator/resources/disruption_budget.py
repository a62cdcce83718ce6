"""The PodDisruptionBudget: one replica at a time may be taken away."""

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata


def build(owner: Metadata) -> Json:
    """The budget, for more than one replica (with one it would block every drain)."""
    selector = {"matchLabels": names.selector_labels(owner.name)}
    spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}
    return kinds.BUDGET.body(owner.of_child(), spec=spec)
