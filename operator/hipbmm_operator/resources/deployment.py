"""The Deployment of the replicas."""

from hipbmm_operator.api.fields import MAX_INT32
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner

_SLACK_SECONDS = 600
"""Pulling a 30 GB image and starting containers, on top of tuning and start-up."""
_SETTLED_SECONDS = 10
"""A new pod serves for so long before an old one stops: time to see how its server was started."""

STRATEGIES: dict[str, Json] = {
    "Surge": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    "InPlace": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    "Recreate": {"type": "Recreate"},
}


def build(
    owner: Owner,
    template: Json,
    *,
    replicas: int,
    strategy: str,
    pace: str,
    budget_seconds: int,
    startup_seconds: int,
    released: bool,
) -> Json:
    """The Deployment.

    `strategy` is a key of STRATEGIES; `pace` is Free, Proving or Held (plan/pace.py); `released` marks that the first
    rollout is over.
    """
    metadata = owner.metadata()
    # Kubernetes takes the largest number for "no deadline", and wants the time of readiness to be smaller.
    deadline = MAX_INT32 if pace == "Held" else budget_seconds + startup_seconds + _SLACK_SECONDS
    if released:
        metadata["annotations"][names.ANNOTATION_RELEASED] = "true"
    spec = {
        "replicas": replicas,
        "paused": False,  # one that a person pauses would never end a rollout, and nothing would say so
        "revisionHistoryLimit": 3,
        "minReadySeconds": _SETTLED_SECONDS if pace == "Free" else deadline - 1,
        "progressDeadlineSeconds": deadline,
        "selector": {"matchLabels": names.selector_labels(owner.name)},
        "strategy": STRATEGIES[strategy],
        "template": template,
    }
    return kinds.DEPLOYMENT.body(metadata, spec=spec)
