"""Available and Progressing: what the pods show, with the cause that they, the Deployment and the API server give."""

from collections.abc import Sequence

from hipbmm_operator.api.conditions import Finding, false, true, unknown
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan import rollout
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.spare_room import split
from hipbmm_operator.plan.write_failure import WriteFailure, pod_refusal
from hipbmm_operator.pods.failures import SCHEDULING_REASONS, Failure

_IN_PLACE = true(
    "Progressing", "UpdatingInPlace", "one replica is stopped before its successor starts, which needs no spare room"
)


def replicas(observed: Observed) -> tuple[int, int]:
    """Pods that exist, and pods that serve."""
    pods = observed.live_pods
    return len(pods), sum(pod.ready for pod in pods)


def available(observed: Observed, asked: int, failures: Sequence[Failure]) -> Finding:
    """Available: enough pods serve."""
    if observed.deployment is None:
        return unknown("Available", "Pending", "the Deployment is being created")
    _, ready = replicas(observed)
    if asked == 0:
        return false("Available", "NoReplicasAsked", "no replica is asked for")
    if rollout.available(observed):
        return true("Available", "MinimumReplicasAvailable", f"{ready} of {asked} replicas serve")
    cause = next(iter(failures), None)
    if cause is not None:
        return false("Available", cause.reason, _where(cause))
    return false("Available", "MinimumReplicasUnavailable", f"{ready} of {asked} replicas serve")


def progressing(
    observed: Observed,
    plan: Plan,
    failures: Sequence[Failure],
    refused: Sequence[WriteFailure],
    unbound: Finding | None,
) -> Finding:
    """Progressing: the children are as planned, or on their way there; False with the cause when nothing moves.

    `unbound` is what StorageReady says about a claim that keeps pods from being scheduled.
    """
    if refused:
        first = refused[0]
        return false("Progressing", first.reason, "; ".join(write.message for write in refused[:3]))
    if observed.deployment is None:
        return unknown("Progressing", "Pending", "the Deployment is being created")
    if observed.deployment.meta.deleting:
        name = observed.deployment.meta.name
        message = f"Deployment {name} is being deleted, and is made again when its finalizers let it go"
        return false("Progressing", "Conflict", message)
    halted = _without_room(observed, plan) or _refused(observed) or _stuck(observed, plan, failures)
    if unbound is not None and not halted and not _over(observed, plan):
        halted = false("Progressing", "StorageNotReady", unbound.message + _if_served(observed, plan))
    return halted or _held(plan) or _moving(observed, plan)


def unusable(observed: Observed, config: Finding) -> Finding:
    """Progressing for a spec that cannot be used, as ConfigValid says: the children stay as they are."""
    if observed.deployment is None:
        return unknown("Progressing", "Pending", "the spec cannot be used")
    served = "; the previous revision still serves" if any(pod.ready for pod in observed.live_pods) else ""
    return Finding("Progressing", "False", config.reason, config.message + served)


def _without_room(observed: Observed, plan: Plan) -> Finding | None:
    """A new pod finds no room beside the old ones: that is how the rollout moves, not what halts it."""
    live = observed.deployment
    if plan.obstacle is None or live is None:
        return None
    # A deadline that passed before a pod was stopped in place is not one of this rollout.
    begun = live.in_place and len(observed.live_pods) <= live.replicas
    if plan.strategy == "InPlace" and begun and observed.overdue:
        return None
    if plan.strategy == "InPlace":
        return _IN_PLACE
    no_gpu = plan.obstacle.reason in ("InsufficientGPU", "OutOfGPU")
    message = f"a new replica finds no room beside the old ones: {plan.obstacle.message}"
    served = _if_served(observed, plan)
    return true("Progressing", "WaitingForSpareGPU" if no_gpu else "WaitingForRoom", message + served)


def _held(plan: Plan) -> Finding | None:
    """A new pod serves worse than the old ones, which stay."""
    if plan.pace.kind != "Held":
        return None
    remedy = "the old, warm replicas stay until the cause is repaired (spec.rollout.untuned: Replace ends this)"
    return false("Progressing", "HeldUntuned", f"{plan.pace.message}; {remedy}")


def _refused(observed: Observed) -> Finding | None:
    """The API server does not let the Deployment create pods."""
    message = observed.deployment.refusal if observed.deployment else None
    return None if message is None else false("Progressing", pod_refusal(message), message)


def _moving(observed: Observed, plan: Plan) -> Finding:
    if observed.overdue:
        return false("Progressing", "ProgressDeadlineExceeded", "the rollout has not moved within its deadline")
    if not _over(observed, plan):
        if plan.strategy == "InPlace":
            return _IN_PLACE
        return true("Progressing", "RollingOut", "replicas are being updated or started")
    if plan.replicas < plan.asked:
        waiting = plan.asked - plan.replicas
        if plan.replicas > 1 or plan.released:
            return true(
                "Progressing", "HeldByStack", f"a replica on a new kind of node tunes before {waiting} more start"
            )
        return true("Progressing", "HeldAtOne", f"one replica tunes before the other {waiting} start")
    return true("Progressing", "RolloutComplete", "all replicas have the current revision")


def _over(observed: Observed, plan: Plan) -> bool:
    """Whether the planned Deployment is rolled out; one that was just written is not the one that was seen."""
    live, planned = observed.deployment, (plan.revision.name, plan.replicas)
    return live is not None and (live.revision, live.replicas) == planned and rollout.complete(observed)


def _stuck(observed: Observed, plan: Plan, failures: Sequence[Failure]) -> Finding | None:
    """A failure of a pod of the current template keeps its rollout from ending."""
    cause = next(iter(failures), None)
    if cause is None:
        return None
    leaving = [pod for pod in observed.pods if pod.deleting and pod.node]
    waits = plan.strategy == "InPlace" and cause.reason in SCHEDULING_REASONS and bool(leaving)
    if waits and not observed.overdue:
        return _IN_PLACE
    # Of a lost node: Kubernetes takes a pod for stopped when its kubelet says so, and starts no other in its place.
    held = "".join(f"; {pod.name} on node {pod.node} does not end" for pod in leaving[:1] if waits)
    return false("Progressing", cause.reason, _where(cause) + held + _if_served(observed, plan))


def of_current(observed: Observed, plan: Plan, failures: Sequence[Failure]) -> list[Failure]:
    """Without those of pods that a rollout is about to replace: they keep nothing from moving."""
    _, former = split(observed, plan.revision.name)
    names = {pod.name for pod in former}
    return [failure for failure in failures if failure.pod not in names]


def _if_served(observed: Observed, plan: Plan) -> str:
    _, former = split(observed, plan.revision.name)
    return "; the previous revision still serves" if any(pod.ready for pod in former) else ""


def _where(failure: Failure) -> str:
    pod = f"{failure.pod}/{failure.container}" if failure.container else failure.pod
    return f"{pod}: {failure.message}"
