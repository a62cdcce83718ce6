"""Ready and the phase: the sum of the other conditions."""

from collections.abc import Mapping, Sequence

from hipbmm_operator.api.conditions import STALLED, Finding, false, true, unknown
from hipbmm_operator.api.status import Phase
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.pods.failures import SCHEDULING_REASONS
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.status.tuning import WITHOUT_TABLE

_FATAL = frozenset({"InvalidSpec", "ConflictingArgs", "Rejected"})
_UPDATING = frozenset({"RollingOut", "UpdatingInPlace", "WaitingForSpareGPU", "WaitingForRoom"})
_TUNING = frozenset({"Tuning", "TunerStalled"})
_HARMLESS = frozenset(
    {
        "ConflictingEnv",
        "AccessModeUnsupported",
        "UnknownField",
        "OutdatedCRD",
        "MonitorNotInstalled",
        "MirrorTooLarge",
        "MirrorRejected",
        "MirrorUnreadable",
        "MinimumReplicasUnavailable",
    }
)
"""Reported in their own conditions, but no cause for pods that do not serve: the last only says that they do not."""
_SAID_BETTER = frozenset(
    {"StorageNotReady", "NoMatchingNodes", "UntoleratedTaint", "NodesCordoned", "ConfigMissing", "ConfigInvalid"}
)
"""The scheduler's words, where another condition names the claim or the nodes; and that nothing could be planned, where
another condition says why the server does not run."""
_CAUSES = ("ConfigValid", "Progressing", "StorageReady", "HardwareCompatible", "Available")


def ready(
    findings: Mapping[str, Finding], plan: Plan | None, left: Sequence[Pod], serving: int, *, suspended: bool
) -> Finding:
    """Ready: all replicas that are asked for serve, with the pod template of this generation; if none is, none is left.

    While a rollout moves it is Unknown, and False when the rollout cannot end, although the old pods serve (that is
    Available): `kubectl wait`, kstatus, Argo CD and Flux take it for the answer to "is what I applied there?".
    """
    config = findings["ConfigValid"]
    if _fatal(config):
        return false("Ready", config.reason, config.message)
    if plan is None:
        return unknown("Ready", "Pending", "nothing has been planned yet")
    if plan.asked == 0:
        return _idle(findings["Progressing"], left, suspended=suspended)
    if serving < plan.asked or findings["Available"].state != "True":
        return _not_enough(findings, serving, plan)
    return _serving(findings)


def _idle(progress: Finding, left: Sequence[Pod], *, suspended: bool) -> Finding:
    """No replica is what was asked for: who waits for the resource need not wait for ever, but until none is left.

    One that is being deleted holds its GPUs until it has ended.
    """
    if progress.state == "False" and left:
        return false("Ready", progress.reason, progress.message)
    if progress.reason in _UPDATING or left:
        leaving = (pod for pod in left if pod.deleting and pod.node)
        ending = next((f": {pod.name} on node {pod.node} has not ended" for pod in leaving), "")
        reason = progress.reason if progress.reason in _UPDATING else "RollingOut"
        return unknown("Ready", reason, f"replicas are being stopped{ending}")
    if suspended:
        return true("Ready", "Suspended", "spec.suspend is true")
    return true("Ready", "NoReplicasAsked", "no replica is asked for")


def _fatal(config: Finding) -> bool:
    return config.state == "False" and config.reason in _FATAL


def stalled(findings: Mapping[str, Finding], observed: Observed) -> Finding | None:
    """Stalled: what was applied is not reached without a change by somebody; None while it may be.

    Without it kstatus takes a resource that is not Ready for one in progress, until a timeout. What the cluster may
    still mend (a pull, a quota, a node) stalls when the Deployment's own deadline has passed, as a Deployment does.
    """
    config, progress = findings["ConfigValid"], findings["Progressing"]
    if _fatal(config):
        return true(STALLED, config.reason, config.message)
    halted = progress.state == "False" and (observed.overdue or progress.reason == "HeldUntuned")
    if not halted or findings["Ready"].state == "True":
        return None
    return true(STALLED, progress.reason, progress.message)


def _serving(findings: Mapping[str, Finding]) -> Finding:
    progress, tuned, warm = findings["Progressing"], findings["Tuned"], findings["Warm"]
    if progress.state == "False":
        return false("Ready", "ServingPreviousRevision", f"{progress.reason}: {progress.message}")
    if progress.reason in _UPDATING:
        return Finding("Ready", "Unknown", progress.reason, progress.message)
    if warm.state == "True":
        return true("Ready", "AllReplicasWarm", warm.message)
    cause = warm if warm.reason in WITHOUT_TABLE else tuned
    return true("Ready", "ServingUntuned", f"{cause.reason}: {cause.message}" if cause.message else cause.reason)


def _not_enough(findings: Mapping[str, Finding], serving: int, plan: Plan) -> Finding:
    """The first condition that fails says why; a resource that is just starting has no cause yet."""
    found = [findings[kind] for kind in _CAUSES]
    # Those that another one explains come at the end.
    for finding in sorted(found, key=lambda each: each.reason in _SAID_BETTER and each.type != "HardwareCompatible"):
        if finding.state == "False" and finding.reason not in _HARMLESS:
            return false("Ready", finding.reason, finding.message)
    tuned = findings["Tuned"]
    if tuned.reason in _TUNING:
        return false("Ready", tuned.reason, tuned.message)
    if findings["Available"].state == "Unknown":
        return unknown("Ready", "Pending", findings["Available"].message)
    return false("Ready", "NotEnoughReplicas", f"{serving} of {plan.asked} replicas serve")


def phase(findings: Mapping[str, Finding], observed: Observed, plan: Plan | None) -> Phase:
    """One word for people."""
    serving = any(pod.ready for pod in observed.live_pods)
    if _fatal(findings["ConfigValid"]):
        return "Degraded" if serving else "Failed"
    if plan is not None and plan.asked == 0:
        return _stopping_phase(findings)
    if plan is None or observed.deployment is None:
        return "Pending"
    if findings["Ready"].state == "True" or serving:
        return _serving_phase(findings)
    return _starting_phase(findings, observed)


def _stopping_phase(findings: Mapping[str, Finding]) -> Phase:
    """Not by the spec alone: whoever waits for the GPUs must not see "Suspended" while a pod holds one."""
    if findings["Ready"].state == "True":
        return "Suspended"
    return "Degraded" if findings["Progressing"].state == "False" else "Updating"


def _serving_phase(findings: Mapping[str, Finding]) -> Phase:
    progress = findings["Progressing"]
    if findings["Ready"].state == "True":
        return "Running"
    return "Updating" if progress.state == "True" else "Degraded"


def _starting_phase(findings: Mapping[str, Finding], observed: Observed) -> Phase:
    progress = findings["Progressing"]
    if progress.state == "False":
        return "Pending" if progress.reason in SCHEDULING_REASONS else "Failed"
    if findings["Tuned"].reason in _TUNING:
        return "Tuning"
    return "Starting" if any(pod.node for pod in observed.live_pods) else "Pending"
