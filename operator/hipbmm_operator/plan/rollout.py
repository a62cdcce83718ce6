"""How many replicas, and how a change reaches them. Pure."""

from datetime import datetime, timedelta

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.pods import failures
from hipbmm_operator.pods.pod import Pod

NO_SPARE_GPU = timedelta(seconds=30)
"""How long a new pod may find no GPU before its rollout goes on in place."""


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
    one_template = len({pod.template_hash for pod in pods}) <= 1
    current = all(pod.ready and pod.revision == live.revision for pod in pods)
    return len(pods) == live.replicas and one_template and current


def available(observed: Observed) -> bool:
    """Whether at most as many replicas are missing as the Deployment's strategy allows."""
    live, ready = observed.deployment, sum(pod.ready for pod in observed.live_pods)
    return live is not None and ready > 0 and ready >= live.replicas - live.in_place


def strategy(spec: Spec, observed: Observed, now: datetime) -> str:
    """Key of the strategy. `Auto` surges until a new pod is seen to find no GPU, then goes on in place to the end."""
    wanted = spec.rollout.strategy
    if wanted != "Auto":
        return wanted
    if complete(observed):
        return "Surge"
    in_place = observed.deployment is not None and observed.deployment.in_place
    return "InPlace" if in_place or surge_is_stuck(observed, now) else "Surge"


def surge_is_stuck(observed: Observed, now: datetime) -> bool:
    """Evidence of a surge deadlock: old pods hold the GPUs that a new pod waits for."""
    revision = observed.deployment.revision if observed.deployment else ""
    old = [pod for pod in observed.live_pods if pod.revision != revision and pod.node]
    return bool(old) and any(_starved(pod, now) for pod in observed.live_pods if pod.revision == revision)


def starving_since(observed: Observed) -> datetime | None:
    """When the first pod that finds no GPU began to wait; the strategy has to be looked at again after NO_SPARE_GPU."""
    times = [pod.unschedulable_since for pod in observed.live_pods if _no_gpu(pod) and pod.unschedulable_since]
    return min(times, default=None)


def _starved(pod: Pod, now: datetime) -> bool:
    since = pod.unschedulable_since
    return _no_gpu(pod) and since is not None and now - since >= NO_SPARE_GPU


def _no_gpu(pod: Pod) -> bool:
    return pod.unschedulable is not None and failures.scheduling_reason(pod.unschedulable) == "InsufficientGPU"
