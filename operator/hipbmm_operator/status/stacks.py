"""`status.stacks`: one resource may run on several kinds of node, each of which has a table of its own. Pure."""

import math
from collections.abc import Mapping, Sequence

from hipbmm_operator.api.status import StackReplicas
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.pods.report import Report

MAX_STACKS = 16


def of_pods(observed: Observed, pods: Sequence[Pod], previous: Sequence[StackReplicas]) -> list[StackReplicas]:
    """The stacks that these pods report, by key; without any report the previous ones, with no replicas."""
    groups: dict[str, list[Pod]] = {}
    for pod in pods:
        if pod.report is not None:
            groups.setdefault(pod.report.key or "unknown", []).append(pod)
    if not groups:
        return [entry.model_copy(update={"replicas": 0, "warm": 0}) for entry in previous]
    known = {entry.key: entry.speedup for entry in previous}
    return [_stack(observed, key, groups[key], known.get(key)) for key in sorted(groups)[:MAX_STACKS]]


def _stack(observed: Observed, key: str, pods: Sequence[Pod], known: str | None) -> StackReplicas:
    """`known` is the speed-up that an earlier pod has measured."""
    reports = [pod.report for pod in pods if pod.report is not None]
    report = next((each for each in reports if not each.complete), reports[0])
    return StackReplicas(
        key=key,
        product=str(report.stack.get("product") or "") or None,
        partition=str(report.stack.get("partition") or "") or None,
        replicas=len(pods),
        problems=report.problems,
        tuned=report.tuned,
        warm=sum(observed.warm(pod) for pod in pods),
        speedup=next((each.geomean for each in reports if each.geomean), known),
    )


def mixed_on_one_kind(observed: Observed, pods: Sequence[Pod]) -> set[str]:
    """Keys that pods on one and the same kind of node report: their software differs, as when a tag has moved."""
    keys: dict[str, set[str]] = {}
    for pod in pods:
        if pod.report is not None and pod.report.key:
            keys.setdefault(observed.kind_of_node(pod) or _kind(pod.report), set()).add(pod.report.key)
    return next((found for found in keys.values() if len(found) > 1), set())


def _kind(report: Report) -> str:
    return "/".join(str(report.stack.get(part, "")) for part in ("arch", "product", "partition", "computeUnits"))


def total(stacks: Sequence[StackReplicas]) -> Mapping[str, int | str]:
    """Fields of `status.tuning` that are sums over several stacks; empty for one."""
    if len(stacks) <= 1:
        return {}
    problems, tuned = sum(stack.problems for stack in stacks), sum(stack.tuned for stack in stacks)
    sums: dict[str, int | str] = {"problems": problems, "tuned": tuned, "progress": f"{tuned}/{problems}"}
    measured = [(stack.problems, float(stack.speedup)) for stack in stacks if stack.speedup and stack.problems]
    gains = [(weight, gain) for weight, gain in measured if gain > 0]
    if gains:
        mean = sum(weight * math.log(gain) for weight, gain in gains) / sum(weight for weight, _ in gains)
        sums["geomean_speedup"] = f"{math.exp(mean):.2f}"
    return sums
