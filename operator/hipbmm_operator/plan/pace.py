"""Whether a rollout may go on: it replaces no warm replica by one that serves worse, unless the spec says so. Pure.

Kubernetes counts a new pod as available after `minReadySeconds`, and stops an old one only then. So a rollout starts
with a time that it does not reach by itself, also while the operator is away, and a pod that serves warm shortens it.
"""

from dataclasses import dataclass
from typing import Literal

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.spare_room import split
from hipbmm_operator.pods.pod import Pod


@dataclass(frozen=True, slots=True)
class Pace:
    """`Proving`: warm pods wait for a new one that is as warm. `Held`: a new one serves worse, as `message` says."""

    kind: Literal["Free", "Proving", "Held"] = "Free"
    message: str = ""


def pace(spec: Spec, observed: Observed, revision: str) -> Pace:
    """The pace of the rollout to a revision."""
    current, former = split(observed, revision)
    if not current:
        # No pod of a new template is there yet: those of the same revision are what there is to be.
        former = [pod for pod in former if pod.revision != revision]
    if spec.rollout.untuned == "Replace" or not any(observed.warm(pod) for pod in former):
        return Pace("Free")
    found = [(pod, why) for pod in current if (why := _worse(spec, observed, pod))]
    if found:
        pod, why = found[0]
        return Pace("Held", f"{pod.name} {why}")
    return Pace("Free" if any(_proven(spec, observed, pod) for pod in current) else "Proving")


def _worse(spec: Spec, observed: Observed, pod: Pod) -> str:
    """In what a new pod is worse than a warm one; "" when it is not, or nobody knows yet."""
    start = observed.without_table(pod)
    if start is not None:
        return f"serves in mode {start.mode}: {start.reason}"
    if pod.report is None:
        return "serves, and its `warm` has left no report" if pod.ready else ""
    if not pod.warmed or pod.report.complete or _asked(spec, pod):
        return ""
    return f"serves without a complete table ({pod.report.reason}): {pod.report.message}"


def _proven(spec: Spec, observed: Observed, pod: Pod) -> bool:
    # How a server was started again is in its log, which may not have been read yet.
    known = not pod.restarts or pod.uid in observed.facts.starts
    return known and pod.ready and (observed.warm(pod) or _asked(spec, pod))


def _asked(spec: Spec, pod: Pod) -> bool:
    """Whether the spec itself asks for a pod that serves what rows there are: tuning is off, or a variable says so.

    A model without a plan reports that, whether it should be tuned or not.
    """
    return pod.report is not None and (not spec.tuning.enabled or pod.report.state == "Disabled")
