"""How many replicas, and how a change reaches them. Pure."""

from datetime import datetime

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.spare_room import Obstacle
from hipbmm_operator.pods.pod import Pod


def asked(spec: Spec) -> int:
    """Replicas that the user wants now."""
    return 0 if spec.suspend else spec.replicas


def released(spec: Spec, observed: Observed) -> bool:
    """Whether the first rollout is over: a pod has reported its table, or that it serves without one.

    Where there is a mirror, the rows of that pod are in it by then, so that the others find them.

    It is noted on the Deployment: a later update, or a scale to 0, never holds replicas back again.
    """
    if observed.deployment is not None and observed.deployment.released:
        return True
    return any(_lets_go(spec, pod) and pod.uid not in observed.mirror.on_their_way for pod in observed.pods)


def _lets_go(spec: Spec, pod: Pod) -> bool:
    if pod.report is None or not pod.warmed:
        return False
    return pod.report.complete or spec.tuning.policy == "ServeUntuned"


def replicas(spec: Spec, observed: Observed) -> int:
    """Replicas of the Deployment: one until the first rollout is released."""
    wanted = asked(spec)
    return wanted if released(spec, observed) else min(wanted, 1)


def complete(observed: Observed) -> bool:
    """Whether the pods are what the Deployment asks for: so many, all of its template, and all ready.

    By the pods themselves: the Deployment's own counts come later, among many Deployments by a minute.
    """
    live, pods = observed.deployment, observed.live_pods
    if live is None:
        return False
    hashes = {pod.template_hash for pod in pods} | ({live.newest_hash} if live.newest_hash and pods else set())
    one_template = len(hashes) <= 1
    current = all(pod.ready and pod.revision == live.revision for pod in pods)
    return len(pods) == live.replicas and one_template and current


def available(observed: Observed) -> bool:
    """Whether at most as many replicas are missing as the Deployment's strategy allows."""
    live, ready = observed.deployment, sum(pod.ready for pod in observed.live_pods)
    return live is not None and ready > 0 and ready >= live.replicas - live.in_place


def strategy(spec: Spec, observed: Observed, obstacle: Obstacle | None, now: datetime) -> str:
    """Key of the strategy. `Auto` surges until a new pod is seen to find no room, then goes on in place to the end."""
    if spec.rollout.strategy != "Auto":
        return spec.rollout.strategy
    if complete(observed):
        return "Surge"
    in_place = observed.deployment is not None and observed.deployment.in_place
    return "InPlace" if in_place or (obstacle is not None and obstacle.overdue(now)) else "Surge"
