"""How many replicas, and how a change reaches them. Pure."""

from collections.abc import Collection
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

    Once noted on the Deployment, a later update, or a scale to 0, never holds replicas back again.
    """
    if observed.deployment is not None and observed.deployment.released:
        return True
    return any(_lets_go(spec, observed, pod) for pod in observed.pods)


def noted(observed: Observed, replicas: int) -> bool:
    """Whether the Deployment carries the note: with the first write of more than one replica, and from then on.

    A single replica is not held back, so the note would be a write, and an event for everybody, that changes nothing.
    """
    return replicas > 1 or (observed.deployment is not None and observed.deployment.released)


def _lets_go(spec: Spec, observed: Observed, pod: Pod) -> bool:
    """Whether others of its stack may start. Where there is a mirror, the rows of the pod are in it by then."""
    if pod.report is None or not pod.warmed or pod.uid in observed.mirror.on_their_way:
        return False
    return pod.report.complete or spec.tuning.policy == "ServeUntuned"


def replicas(spec: Spec, observed: Observed) -> int:
    """Replicas of the Deployment: one until the first rollout is released.

    Where nodes of several kinds fit, they grow one by one until each kind has a replica that lets others go, so that
    each stack is tuned once, while the others serve.
    """
    wanted = asked(spec)
    if not released(spec, observed):
        return min(wanted, 1)
    kinds = set(observed.hardware.kinds.values()) if observed.hardware is not None else set[str]()
    done = {observed.kind_of_node(pod) for pod in observed.live_pods if _lets_go(spec, observed, pod)}
    if len(kinds) <= 1 or kinds <= done:
        return wanted
    # What waits for a node tunes nothing yet, and an autoscaler has to see it.
    tunes = [pod for pod in observed.live_pods if pod.unschedulable is None and not _settled(spec, observed, pod, done)]
    live = observed.deployment.replicas if observed.deployment is not None else 0
    waits = bool(tunes) or len(observed.live_pods) < live
    return min(wanted, max(1, live) if waits else live + 1)


def _settled(spec: Spec, observed: Observed, pod: Pod, done: Collection[str]) -> bool:
    """Whether a pod tunes nothing that another one would tune, too."""
    return _lets_go(spec, observed, pod) or (bool(pod.node) and observed.kind_of_node(pod) in done)


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
    live = observed.deployment
    if complete(observed):
        return "Surge"
    in_place = live is not None and live.in_place
    return "InPlace" if in_place or (obstacle is not None and obstacle.overdue(now)) else "Surge"
