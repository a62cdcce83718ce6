"""The Deployment of the replicas, and the PodDisruptionBudget: one replica at a time may be taken away."""

from hipbmm_operator.api.fields import MAX_INT32
from hipbmm_operator.api.resource import Resource
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, parse
from hipbmm_operator.kube.times import moment
from hipbmm_operator.resources.controller_revision import Revision, content

_QUEUE_LABELS = "kueue.x-k8s.io/"
"""A queue takes the Deployment as a whole, by labels that a user gives the pods."""

_RESTARTED = "kubectl.kubernetes.io/restartedAt"

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
    resource: Resource, spec: Spec, revision: Revision, *, replicas: int, strategy: str, pace: str, released: bool
) -> Json:
    """The Deployment, with what the operator notes on it.

    `strategy` is a key of STRATEGIES; `pace` is Free, Proving or Held (plan/pace.py); `released` marks that the first
    rollout is over.
    """
    metadata = resource.meta.of_child()
    metadata["annotations"] |= {
        names.ANNOTATION_REVISION: revision.name,
        names.ANNOTATION_CONTENT: content(resource),
    }
    if released:
        metadata["annotations"][names.ANNOTATION_RELEASED] = "true"
    of_pods = parse(revision.template).labels
    metadata["labels"] |= {key: value for key, value in of_pods.items() if key.startswith(_QUEUE_LABELS)}
    needed = spec.tuning.budget_seconds + spec.server.startup_seconds + _SLACK_SECONDS
    # Kubernetes takes the largest number for "no deadline", and wants the time of readiness to be smaller.
    deadline = MAX_INT32 if pace == "Held" else needed
    body = {
        "replicas": replicas,
        "paused": False,  # one that a person pauses would never end a rollout, and nothing would say so
        "revisionHistoryLimit": 3,
        "minReadySeconds": _SETTLED_SECONDS if pace == "Free" else deadline - 1,
        "progressDeadlineSeconds": deadline,
        "selector": {"matchLabels": names.selector_labels(resource.meta.name)},
        "strategy": STRATEGIES[strategy],
        "template": revision.template,
    }
    return kinds.DEPLOYMENT.body(metadata, spec=body)


def restarted(template: Json, live: Json) -> Json:
    """The template; of a time of restart in it and the one of `kubectl rollout restart`, the later counts."""
    annotations, last = parse(template).annotations, parse(live).annotations.get(_RESTARTED)
    done, asked = moment(last), moment(annotations.get(_RESTARTED))
    if _RESTARTED not in annotations or done is None or (asked is not None and done <= asked):
        return template
    return {**template, "metadata": {**template["metadata"], "annotations": {**annotations, _RESTARTED: last}}}


def build_budget(owner: Metadata) -> Json:
    """The budget, for more than one replica (with one it would block every drain)."""
    selector = {"matchLabels": names.selector_labels(owner.name)}
    spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}
    return kinds.BUDGET.body(owner.of_child(), spec=spec)
