"""`status.tuning` as one report of `warm` gives it. Pure."""

from hipbmm_operator.api.status import StackStatus, TuningStatus
from hipbmm_operator.pods.report import Report, ServedFrom


def of_report(report: Report, served: ServedFrom) -> TuningStatus:
    """The status; `served` says where the servers find their rows, "" when nobody does."""
    return TuningStatus(
        key=report.key or None,
        state=report.state,
        problems=report.problems,
        tuned=report.tuned,
        progress=f"{report.tuned}/{report.problems}",
        failed=report.failed,
        source=report.source,
        seconds=report.seconds,
        geomean_speedup=report.geomean,
        plan_source=report.plan_source or None,
        notes=list(report.notes),
        unproven=list(report.unproven),
        unplanned=report.unplanned,
        dispatch=served.mode or None,
        dispatch_reason=served.reason or None,
        stack=StackStatus.model_validate(report.stack),
        last_error="; ".join(report.errors)[:1024] or None,
    )
