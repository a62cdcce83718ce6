"""The status of a profile. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from hipbmm_operator.api import conditions, reasons
from hipbmm_operator.api.conditions import STALLED, Finding, false, outdated_crd, true, unknown
from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.api.profile_status import MAX_WORKLOADS, PodCounts, ProfileStatus, Recipe, Trip, Workload
from hipbmm_operator.api.status import TuningStatus
from hipbmm_operator.injection import patch
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract, tuning_status
from hipbmm_operator.pods.pod import leading
from hipbmm_operator.pods.report import FILE, ServedFrom
from hipbmm_operator.profiles import recipe, trials
from hipbmm_operator.profiles.facts import Facts, Profile
from hipbmm_operator.profiles.pods import ForeignPod
from hipbmm_operator.profiles.pods import Workload as Owner

_NO_ADMISSION = (
    "neither the MutatingAdmissionPolicy (Kubernetes 1.36) nor the webhook is installed: no pod is injected;"
    " set injection.enabled of the chart, and injection.webhook.enabled on older clusters"
)


def build(profile: Profile, facts: Facts, now: datetime) -> Json:
    """`status` as it should be stored."""
    before, spec = profile.previous, profile.spec
    generation = profile.meta.generation
    tripped = trials.trip(before.tripped, facts.pods, generation, facts.kernel.sha256)
    tried = trials.canaries(before.canaries, facts.pods, facts.kernel.sha256, facts.at_work)
    against = _against(spec, facts, tripped)
    status = ProfileStatus(
        observed_generation=generation,
        admission=facts.admission.by,
        injection=_recipe(profile, facts, trials.held(tried, facts.pods, now), ready=against is None),
        canaries=tried,
        tripped=tripped,
        tuning=_tuning(facts) or before.tuning,
        conditions=conditions.merge(before.conditions, _findings(spec, facts, against), generation, now),
    )
    with_recipe = {"metadata": {"name": profile.meta.name}, "status": status.body()}
    more = {"pods": _counts(facts.pods), "workloads": _workloads(facts, with_recipe)}
    return status.model_copy(update=more).body()


def _recipe(profile: Profile, facts: Facts, held: Sequence[str], *, ready: bool) -> Recipe | None:
    """The recipe; without a spec or a kernel program the last one, not ready."""
    if isinstance(profile.spec, ProfileSpec) and facts.kernel.config_map:
        return recipe.build(profile.meta.name, profile.spec, facts, held, ready=ready)
    last = profile.previous.injection
    return last.model_copy(update={"ready": False}) if last else None


def _against(spec: ProfileSpec | str, facts: Facts, tripped: Trip | None) -> Finding | None:
    """What speaks against injecting pods now, the most telling first."""
    if isinstance(spec, str):
        return false("Ready", "InvalidSpec", spec)
    names = ", ".join(facts.rivals)
    if spec.suspend:
        # It is what was asked for: who waits for the profile need not wait for ever.
        return true("Ready", "Suspended", "spec.suspend is true: new pods are plain")
    rival = f"spec.match.podLabels could choose the same pods as profile {names}: give one label another value in each"
    refused = f"an injected pod would be refused: {facts.preflight.refusal}"
    candidates: tuple[tuple[object, reasons.Reason | reasons.Foreign, str], ...] = (
        (facts.rivals, "Conflict", rival),
        (facts.kernel.problem, "KernelUnavailable", facts.kernel.problem),
        (facts.claim[1], reasons.Foreign(facts.claim[0]), facts.claim[1]),
        (facts.preflight.refusal, "PreflightRefused", refused),
        (tripped, "Suspended", tripped.message if tripped else ""),
    )
    return next((false("Ready", reason, message) for found, reason, message in candidates if found), None)


def _findings(spec: ProfileSpec | str, facts: Facts, against: Finding | None) -> list[Finding]:
    invalid = against is not None and against.reason in ("InvalidSpec", "Conflict")
    config = false("ConfigValid", against.reason, against.message) if invalid and against else None
    kind, by, also = "AdmissionReady", facts.admission.by, _also(facts.admission.installations)
    admission = {
        "Policy": true(kind, "PolicyInstalled", f"a MutatingAdmissionPolicy injects pods{also}"),
        "Webhook": true(kind, "WebhookInstalled", f"the operator's webhook injects pods{also}"),
        "None": false(kind, "NoAdmission", f"{_NO_ADMISSION}{also}"),
    }[by]
    ready = against or (false("Ready", admission.reason, admission.message) if by == "None" else None)
    return [
        ready or true("Ready", "Injecting", _injecting(spec, facts)),
        config or (outdated_crd(facts.dropped) if facts.dropped else true("ConfigValid", "Valid")),
        admission,
        _preflight(spec, facts),
        *([true(STALLED, against.reason, against.message)] if against and _stalled(against) else []),
    ]


def _also(installations: Sequence[str]) -> str:
    """That there are several, in the same words from each of them: they may all write this status."""
    if len(installations) < 2:  # noqa: PLR2004  # one is as it should be
        return ""
    return f"; {' and '.join(installations)} change the same pods, each pod once: uninstall all but one"


def _stalled(against: Finding) -> bool:
    """Whether only a change of a profile ends it. Without Stalled, kstatus takes what is not Ready for in progress."""
    return against.state == "False" and against.reason in ("InvalidSpec", "Conflict", "Suspended")


def _injecting(spec: ProfileSpec | str, facts: Facts) -> str:
    pods = _asking(facts.pods)
    chooses = isinstance(spec, ProfileSpec) and bool(spec.match.pod_labels)
    plain = sum(not each.injected for each in pods)
    words = [f"{plain} of {len(pods)} are plain"] if plain else []
    words += [UNLABELLED] if chooses and not facts.enabled else []
    words += [f"rows that pods tuned are not kept: {facts.mirror_problem}"] if facts.mirror_problem else []
    return "; ".join(["pods that ask for it are injected", *words]) if words else ""


def _asking(pods: Sequence[ForeignPod]) -> list[ForeignPod]:
    """The pods that run or start, without those that are plain because somebody wants them so."""
    return [each for each in pods if each.pod.live and (each.injected or patch.why_plain(each.body, {}) != "Skipped")]


def _preflight(spec: ProfileSpec | str, facts: Facts) -> Finding:
    kind, found = "PreflightPassed", facts.preflight
    if isinstance(spec, ProfileSpec) and not spec.preflight:
        return unknown(kind, "PreflightOff", "spec.preflight is false")
    if found.refusal:
        return false(kind, "PreflightRefused", found.refusal)
    if found.unknown:
        return unknown(kind, "PreflightUnknown", found.unknown)
    return true(kind, "PreflightDone", "the namespace admits injected pods where it admits plain ones")


def _counts(pods: Sequence[ForeignPod]) -> PodCounts:
    asking = _asking(pods)
    injected, warm = sum(each.injected for each in asking), sum(each.pod.warm for each in asking if each.injected)
    return PodCounts(
        matched=len(asking),
        injected=injected,
        progress=f"{injected}/{len(asking)}",
        warm=warm,
        warm_progress=f"{warm}/{injected}",
    )


def _workloads(facts: Facts, with_recipe: Json) -> list[Workload]:
    groups: dict[tuple[str, str], list[ForeignPod]] = defaultdict(list)
    for each in facts.pods:
        if each.pod.live:
            groups[each.workload.kind, each.workload.name].append(each)
    found = [_workload(group[0].workload, group, facts.served_from, with_recipe) for group in groups.values()]
    return sorted(found, key=lambda each: (not each.reason, each.kind, each.name))[:MAX_WORKLOADS]


def _workload(owner: Owner, pods: Sequence[ForeignPod], served: Mapping[str, ServedFrom], profile: Json) -> Workload:
    injected = [each for each in pods if each.injected]
    plain = [each for each in pods if not each.injected]
    if plain:
        reason, message = _why_plain(owner, plain, injected, profile)
    else:
        reason, message = next(_troubles(injected, served), ("", ""))
    plan = next((each.pod.report.plan_source for each in injected if each.pod.report), "")
    return Workload(
        kind=owner.kind[:256],
        name=owner.name[:256],
        injected=len(injected),
        not_injected=len(plain),
        warm=sum(each.pod.warm for each in injected),
        reason=reason,
        message=message[:1024],
        plan=plan or None,
    )


def _why_plain(
    owner: Owner, plain: Sequence[ForeignPod], injected: Sequence[ForeignPod], with_recipe: Json
) -> tuple[str, str]:
    first = plain[0]
    reason = patch.why_plain(first.body, with_recipe) or "Predates"
    remedy = f"; {owner.restart}" if reason in ("Predates", "Canary") else ""
    if reason == "Canary" and (stuck := next(filter(trials.stuck, injected), None)):
        remedy = f"; {stuck.pod.name} is stuck: delete it"
    return reason, f"plain pods: {len(plain)}, such as {first.pod.name}: {WORDS.get(reason, reason)}{remedy}"


def _troubles(injected: Sequence[ForeignPod], served: Mapping[str, ServedFrom]) -> Iterator[tuple[str, str]]:
    """Why pods are stuck, not warm, or do not serve from memory although `warm` has shown that they can."""
    for each in injected:
        if message := trials.stuck(each):
            yield "Stuck", f"{each.pod.name}: {message}"
    for each in injected:
        report = each.pod.report
        if report is not None and not report.complete:
            found = f" ({report.notes[0]})" if report.state == "NoPlan" and report.notes else ""
            yield report.reason, f"{each.pod.name}: {report.message}{found}"
        elif report is None and each.pod.container(contract.WARM).ended is not None:
            yield "TunerFailed", f"{each.pod.name}: hipbmm-warm has left no report; see its log"
    for each in injected:
        said = served.get(each.pod.uid)
        if said is not None and said.mode == FILE:
            yield "ServingFromFile", f"{each.pod.name}: {said.reason}"


UNLABELLED = "spec.match.podLabels chooses pods in namespaces with the label hipbmm.io/injection: enabled only"
WORDS = {
    "Predates": "older than the profile, or created while nothing injected pods",
    "Skipped": "with the annotation hipbmm.io/skip, of a HipbmmDeployment, static, or for Windows",
    "NotReady": "the profile is not ready",
    "NoGpuContainer": "no container has a limit of amd.com/gpu (name it in spec.container), or the name given there",
    "SeveralGpuContainers": "several containers have a limit of amd.com/gpu; name one in spec.container",
    "NamesTaken": "a mount inside /hipbmm, or a container or volume with a name that the injection uses",
    "TooLarge": "with a copy of its command, arguments and variables the API server would refuse the pod for its size",
    "Canary": "another pod of this image is the trial or is stuck, or the trial has failed",
    "EntrypointUnknown": "the container has no command and a node is older than Kubernetes 1.35: give spec.entrypoint",
}
"""Why a pod is plain."""


def _tuning(facts: Facts) -> TuningStatus | None:
    reporting = [each.pod for each in facts.pods if each.injected and each.pod.live and each.pod.report is not None]
    report = leading(reporting)
    if report is None:
        return None
    said = (facts.served_from[pod.uid] for pod in reporting if pod.uid in facts.served_from)
    return tuning_status.of_report(report, next((each for each in said if each.mode == FILE), report.served))
