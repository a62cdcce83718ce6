"""Whether pods can start on a node now. Kept apart from what the node is: a cordon does not change its GPUs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hipbmm_operator.detect.reasons import Reason
from hipbmm_operator.detect.resource_choice import ResourceChoice
from hipbmm_operator.detect.sources.facts import BLOCKING_EFFECTS, NodeFacts, Taint
from hipbmm_operator.detect.sources.values import shown, text

# Repartitioning, a failed health check, a driver upgrade: the node works for nobody now, whatever a pod tolerates.
NEVER_TOLERATED: Final = frozenset({"amd-dcm", "amd-gpu-unhealthy", "amd-gpu-driver-upgrade"})


def default_tolerations() -> list[dict[str, str]]:
    """What a serving pod tolerates unless the user says otherwise: the taint of GPU pools on OKE and DOKS."""
    return [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Whether one toleration covers one taint (Kubernetes ``ToleratesTaint``; an unknown operator covers nothing)."""
    effect = text(toleration.get("effect"))
    if effect and effect != taint.effect:
        return False
    operator = text(toleration.get("operator")) or "Equal"
    key = text(toleration.get("key"))
    if not key:
        return operator == "Exists"
    if key != taint.key:
        return False
    return operator == "Exists" or (operator == "Equal" and text(toleration.get("value")) == taint.value)


def blocking_taints(taints: Sequence[Taint]) -> tuple[Taint, ...]:
    """The taints that keep pods without a toleration away."""
    return tuple(taint for taint in taints if taint.effect in BLOCKING_EFFECTS)


def untolerated(taints: Sequence[Taint], tolerations: Sequence[Mapping[str, Any]]) -> tuple[Taint, ...]:
    """The blocking taints that remain with these tolerations."""
    return tuple(
        taint
        for taint in blocking_taints(taints)
        if taint.key in NEVER_TOLERATED or not any(tolerates(toleration, taint) for toleration in tolerations)
    )


def node_blockers(facts: NodeFacts) -> tuple[Reason, ...]:
    """What keeps every pod away from the node, taints aside."""
    found = []
    if facts.terminating:
        found.append(Reason("NodeTerminating", "the node is being deleted"))
    if facts.ready is False:
        found.append(Reason("NodeNotReady", "the condition Ready is not True"))
    if facts.unschedulable:
        found.append(Reason("NodeCordoned", "spec.unschedulable is set"))
    return tuple(found)


def taint_blockers(taints: Sequence[Taint], tolerations: Sequence[Mapping[str, Any]]) -> tuple[Reason, ...]:
    """The taints that these tolerations do not cover."""
    return tuple(Reason("NodeTainted", shown(str(taint))) for taint in untolerated(taints, tolerations))


def resource_blockers(choice: ResourceChoice, *, used: int, request: int) -> tuple[Reason, ...]:
    """Too few devices: none allocatable, fewer than asked for, or taken by running pods."""
    if choice.name is None:
        return ()
    if choice.gpus == 0:
        return (Reason("NoAllocatable", f"0 of {choice.capacity} {choice.name} allocatable"),)
    if choice.gpus < request:
        return (Reason("NotEnoughGPUs", f"{request} wanted, {choice.gpus} {choice.name} allocatable"),)
    if choice.gpus - used < request:
        return (Reason("GPUsTaken", f"{request} wanted, {used} of {choice.gpus} {choice.name} in use"),)
    return ()
