"""Tuned and Warm, and `status.tuning`: what the pods of the current revision report."""

from collections.abc import Sequence
from typing import Any

from hipbmm_operator.api.status import StackStatus, TuningStatus
from hipbmm_operator.contract import Progress, Report
from hipbmm_operator.failures import Failure
from hipbmm_operator.observed import Observed
from hipbmm_operator.pods import Pod
from hipbmm_operator.status.conditions import Finding, false, true, unknown

Json = dict[str, Any]


def reporting(observed: Observed, revision: str) -> list[Pod]:
    """Live pods whose report counts: those of the current revision, else (during an update) those that still serve."""
    reported = [pod for pod in observed.live_pods if pod.report is not None]
    current = [pod for pod in reported if pod.revision == revision]
    return sorted(current or reported, key=lambda pod: (not pod.ready, pod.name))


def leading(pods: Sequence[Pod]) -> Report | None:
    """The report that the status tells: the least complete one of the pods that serve, so that nothing is hidden."""
    reports = [pod.report for pod in pods if pod.report is not None]
    incomplete = [report for report in reports if not report.complete]
    return next(iter(incomplete or reports), None)


def tuned(observed: Observed, revision: str, failures: Sequence[Failure]) -> Finding:
    """Tuned: every running pod reports a complete table, all for the same stack."""
    pods = reporting(observed, revision)
    reports = [pod.report for pod in pods if pod.report is not None]
    updating = [pod for pod in observed.live_pods if pod.revision == revision and pod.report is None]
    crashed = next((failure for failure in failures if failure.container == "warm" and failure.exit_code), None)
    report = leading(pods)
    if updating and crashed is not None:
        return false("Tuned", crashed.reason, f"{crashed.pod}: {crashed.message}")
    if any(pod.warming for pod in updating):
        return false("Tuned", "Tuning", _progress_text(observed.progress))
    if report is None:
        return unknown("Tuned", "Pending", "no pod has reported yet")
    keys = {report.key for report in reports if report.key}
    if report.complete and len(keys) > 1:
        return false("Tuned", "MixedStacks", f"pods report different stacks: {', '.join(sorted(keys))}")
    if report.complete:
        return true("Tuned", report.reason, report.message)
    return false("Tuned", report.reason, report.message or f"the table is {report.state}")


def _progress_text(progress: Progress | None) -> str:
    if progress is None or not progress.problems:
        return "the tuner is starting"
    return f"{progress.tuned} of {progress.problems} problems tuned ({progress.phase})"


def warm(observed: Observed, asked: int) -> Finding:
    """Warm: every pod that serves does so with a complete table."""
    ready = [pod for pod in observed.live_pods if pod.ready]
    cold = [pod for pod in ready if not pod.warm]
    if not ready:
        return unknown("Warm", "NoReplicas", "no pod serves yet" if asked else "no pod is asked for")
    if cold:
        names = ", ".join(sorted(pod.name for pod in cold)[:3])
        return false(
            "Warm", "ServingUntuned", f"{len(cold)} of {len(ready)} pods serve without a complete table: {names}"
        )
    return true("Warm", "AllReplicasWarm", f"{len(ready)} of {len(ready)} pods serve with a complete table")


def status(observed: Observed, revision: str, previous: Json, failures: Sequence[Failure]) -> TuningStatus | None:
    """`status.tuning`. Source, seconds and speedup are those of the pod that tuned this stack, when it is gone, too."""
    report = leading(reporting(observed, revision))
    warming = any(pod.warming for pod in observed.live_pods if pod.revision == revision)
    crashed = next((failure for failure in failures if failure.container == "warm"), None)
    error = f"{crashed.reason}: {crashed.message}"[:1024] if crashed else None
    if warming and (report is None or not report.complete) and observed.progress is not None:
        return _running(observed.progress, error)
    if report is None:
        return _unreported(previous, error, warming=warming, pods=bool(observed.live_pods))
    kept = previous if previous.get("key") == report.key and report.source == "Restored" else {}
    return TuningStatus(
        key=report.key or None,
        state=report.state,
        problems=report.problems,
        tuned=report.tuned,
        progress=f"{report.tuned}/{report.problems}",
        failed=report.failed,
        source=kept.get("source") or report.source,
        seconds=kept.get("seconds", report.seconds),
        geomean_speedup=kept.get("geomeanSpeedup") or report.geomean,
        plan_source=report.plan_source or None,
        stack=StackStatus.model_validate(report.stack),
        last_error=error or "; ".join(report.errors)[:1024] or None,
    )


def _running(progress: Progress, error: str | None) -> TuningStatus:
    return TuningStatus(
        state="Running",
        problems=progress.problems,
        tuned=progress.tuned,
        progress=f"{progress.tuned}/{progress.problems}",
        failed=progress.failed,
        last_error=error,
    )


def _unreported(previous: Json, error: str | None, *, warming: bool, pods: bool) -> TuningStatus:
    """Without any report: what was known stays while there is no pod; else tuning has not begun or has just begun."""
    if not pods and previous.get("state"):
        return TuningStatus.model_validate({**previous, "lastError": error})
    return TuningStatus(state="Running" if warming else "Pending", last_error=error)
