"""Tuned and Warm, and `status.tuning`: what the pods of the current revision report."""

from collections.abc import Mapping, Sequence

from hipbmm_operator.api import reasons
from hipbmm_operator.api.conditions import Finding, false, true, unknown
from hipbmm_operator.api.status import StackReplicas, TuningStatus
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.pods import tuning_status
from hipbmm_operator.pods.failures import Failure
from hipbmm_operator.pods.pod import Pod, leading
from hipbmm_operator.pods.report import (
    CHECKING,
    FILE,
    IMPROVING,
    LAST_PHASES,
    MEMORY,
    MODES,
    NO_AITER,
    NO_HIPBMM,
    NO_TABLE,
    TUNING,
    Progress,
    Report,
    ServedFrom,
)
from hipbmm_operator.status import stacks

_AT_WORK = frozenset({"Probing", TUNING, *LAST_PHASES})
"""Phases of a `warm` that found rows missing."""
_NOW = {
    IMPROVING: "it searches for faster kernels",
    CHECKING: "it checks whether the server can have its table in memory",
}
_TUNED = ("Tuned", "Mixed")
"""Sources of a table whose pod tuned."""
_WITHOUT: Mapping[str, tuple[reasons.Serving, str]] = {
    NO_TABLE: ("ServingWithoutTable", "without its table"),
    NO_HIPBMM: ("ServingWithoutHipbmm", "without HIPBMM"),
    NO_AITER: ("ServingWithoutAiter", "in its own environment, without AITER's linear kernels"),
}
"""Reason of Warm and words, by the mode of the server."""
WITHOUT_TABLE = frozenset(reason for reason, _ in _WITHOUT.values())
"""Reasons of Warm: the server crashed, and was started again without what may have crashed it."""


def reporting(observed: Observed, revision: str) -> list[Pod]:
    """Live pods whose report counts: those of the current revision, else (during an update) those that still serve."""
    reported = [pod for pod in observed.live_pods if pod.report is not None]
    current = [pod for pod in reported if pod.revision == revision]
    return sorted(current or reported, key=lambda pod: (not pod.ready, pod.name))


def tuned(observed: Observed, revision: str, failures: Sequence[Failure]) -> Finding:
    """Tuned: every running pod reports a complete table, all for the same stack."""
    pods = reporting(observed, revision)
    reports = [pod.report for pod in pods if pod.report is not None]
    updating = [pod for pod in observed.live_pods if pod.revision == revision and pod.report is None]
    crashed = next((failure for failure in failures if failure.container == "warm" and failure.exit_code), None)
    report = leading(pods)
    if updating and crashed is not None:
        return false("Tuned", crashed.reason, f"{crashed.pod}: {crashed.message}")
    if any(pod.warming for pod in updating) and not _only_restores(observed, revision):
        text = _progress_text(observed.facts.progress, stalled=observed.facts.stalled)
        return false("Tuned", "TunerStalled" if observed.facts.stalled else "Tuning", text)
    if report is None:
        return unknown("Tuned", "Pending", "no pod has reported yet")
    keys = stacks.mixed_on_one_kind(observed, pods)
    if report.complete and keys:
        text = f"pods on the same kind of node report different stacks: {', '.join(sorted(keys))}"
        return false("Tuned", "MixedStacks", text)
    if report.complete:
        several = len({report.key for report in reports if report.key})
        each = f", each of {several} stacks" if several > 1 else ""
        return true("Tuned", report.reason, report.message + each)
    named = f" ({', '.join(report.unproven)})" if report.unproven else ""
    return false("Tuned", report.reason, (report.message or f"the table is {report.state}") + named)


def _only_restores(observed: Observed, revision: str) -> bool:
    """Whether the pod in `warm` finds its rows, as far as its log says: another pod has tuned them before."""
    before = any(
        pod.report is not None and pod.report.complete for pod in observed.live_pods if pod.revision == revision
    )
    return before and (observed.facts.progress is None or observed.facts.progress.phase not in _AT_WORK)


def _progress_text(progress: Progress | None, *, stalled: bool) -> str:
    if progress is None or not progress.problems:
        return "the tuner is starting"
    now = _NOW.get(progress.phase)
    text = f"{progress.tuned} of {progress.problems} matrix shapes tuned{f'; {now}' if now else f' ({progress.phase})'}"
    if progress.verifying:
        text = f"{progress.verified} of {progress.problems} matrix shapes verified"
    return f"{text}; no progress for much longer than any step took so far" if stalled else text


def warm(observed: Observed, asked: int, dispatch: str = "Auto") -> Finding:
    """Warm: every pod that serves does so with a complete table; the reason says where `dispatch` Memory failed."""
    ready = [pod for pod in observed.live_pods if pod.ready]
    cold = [pod for pod in ready if not observed.warm(pod)]
    crashed = [(pod, start) for pod in ready if (start := observed.without_table(pod)) is not None]
    if not ready:
        return unknown("Warm", "NoReplicas", "no pod serves yet" if asked else "no pod is asked for")
    if crashed:
        pod, start = max(crashed, key=lambda each: MODES.index(each[1].mode))
        reason, words = _WITHOUT[start.mode]
        return false("Warm", reason, f"{pod.name} serves {words}: {start.reason}")
    if cold:
        names = ", ".join(sorted(pod.name for pod in cold)[:3])
        return false(
            "Warm", "ServingUntuned", f"{len(cold)} of {len(ready)} pods serve without a complete table: {names}"
        )
    text = f"{len(ready)} of {len(ready)} pods serve with a complete table"
    from_file = [pod for pod in ready if _fell_back(observed, pod, dispatch)]
    if from_file:
        pod, rest = from_file[0], len(from_file) - 1
        named = f"{pod.name} and {rest} more" if rest else pod.name
        return true("Warm", "ServingFromFile", f"{text}, but {named} from the file: {_dispatch(observed, pod).reason}")
    return true("Warm", "AllReplicasWarm", text)


def _fell_back(observed: Observed, pod: Pod, dispatch: str) -> bool:
    """Whether a server finds its rows in the file although the spec, or its own `warm`, says memory."""
    asked = dispatch == MEMORY or (pod.report is not None and pod.report.served.mode == MEMORY)
    return asked and _dispatch(observed, pod).mode == FILE


def _dispatch(observed: Observed, pod: Pod) -> ServedFrom:
    """Where a pod's server finds its rows ("" when the pod does not say), and why it is the file.

    What its processes say counts most, then `exec`; `warm` has only shown what can be.
    """
    served, start = observed.facts.served_from.get(pod.uid), observed.facts.starts.get(pod.uid)
    if served is not None:
        return served
    if start is not None and start.from_file:
        return ServedFrom(FILE, start.from_file)
    return pod.report.served if pod.report is not None else ServedFrom()


def status(
    observed: Observed,
    revision: str,
    previous: TuningStatus | None,
    by_stack: Sequence[StackReplicas],
    failures: Sequence[Failure],
) -> TuningStatus:
    """`status.tuning`. Source, seconds and speedup are those of the pod that tuned this stack, when it is gone, too.

    Of several stacks it has the sums.
    """
    pods = reporting(observed, revision)
    report = leading(pods)
    warming = any(pod.warming for pod in observed.live_pods if pod.revision == revision)
    crashed = next((failure for failure in failures if failure.container == "warm"), None)
    error = f"{crashed.reason}: {crashed.message}"[:1024] if crashed else None
    progress = observed.facts.progress if warming and not _only_restores(observed, revision) else None
    if report is None:
        known = _unreported(previous, error, warming=warming, pods=bool(observed.live_pods))
        return _running(known, progress) if progress else known
    origin, kept = _origin(report, pods, previous)
    served = [_dispatch(observed, pod) for pod in pods]
    known = tuning_status.of_report(report, next((each for each in served if each.mode == FILE), served[0]))
    measured = {
        "source": (kept and kept.source) or origin.source,
        "seconds": origin.seconds if kept is None or kept.seconds is None else kept.seconds,
        "geomean_speedup": (kept and kept.geomean_speedup) or origin.geomean,
    }
    known = known.model_copy(update={**measured, "last_error": error or known.last_error, **stacks.total(by_stack)})
    return _running(known, progress) if progress else known


def _origin(report: Report, pods: Sequence[Pod], previous: TuningStatus | None) -> tuple[Report, TuningStatus | None]:
    """Who says what the tuning was: for rows that were restored a pod that tuned this stack, or the former status.

    A status may be the first that sees both: of pods that are seen together, or by an operator that has just started.
    """
    if report.source != "Restored":
        return report, None
    same = [pod.report for pod in pods if pod.report is not None and pod.report.key == report.key]
    tuner = next((each for each in same if each.source in _TUNED), None)
    known = previous is not None and previous.key == report.key and (tuner is None or previous.source in _TUNED)
    return tuner or report, previous if known else None


def _running(known: TuningStatus, progress: Progress) -> TuningStatus:
    """What is known, with the progress of a pod that tunes, also while old pods serve.

    It is the column TUNED: `204/204` for the minutes that verification takes would look stuck.
    """
    done = f"verified {progress.verified}" if progress.verifying else str(progress.tuned)
    counts = {"problems": progress.problems, "tuned": progress.tuned, "failed": progress.failed}
    return known.model_copy(update={"state": "Running", "progress": f"{done}/{progress.problems}", **counts})


def _unreported(previous: TuningStatus | None, error: str | None, *, warming: bool, pods: bool) -> TuningStatus:
    """Without any report: what was known stays while there is no pod; else tuning has not begun or has just begun."""
    if not pods and previous is not None:
        return previous.model_copy(update={"last_error": error})
    return TuningStatus(state="Running" if warming else "Pending", last_error=error)
