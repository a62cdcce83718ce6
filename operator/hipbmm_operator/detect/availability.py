"""Whether pods can start on a node now. Kept apart from what the node is: a cordon does not change its GPUs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hipbmm_operator.detect.reasons import Reason
from hipbmm_operator.detect.resource_choice import ResourceChoice
from hipbmm_operator.detect.sources.facts import NodeFacts, Taint
from hipbmm_operator.detect.sources.values import text

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
    same = operator == "Exists" or (operator == "Equal" and text(toleration.get("value")) == taint.value)
    return key == taint.key and same


def untolerated(taints: Sequence[Taint], tolerations: Sequence[Mapping[str, Any]]) -> tuple[Taint, ...]:
    """The taints that remain with these tolerations."""
    return tuple(
        taint
        for taint in taints
        if taint.key in NEVER_TOLERATED or not any(tolerates(toleration, taint) for toleration in tolerations)
    )


def node_blockers(facts: NodeFacts) -> Iterator[Reason]:
    """What keeps every pod away from the node, taints aside."""
    if facts.terminating:
        yield Reason("NodeTerminating", "the node is being deleted")
    if facts.ready is False:
        yield Reason("NodeNotReady", "the condition Ready is not True")
    if facts.unschedulable:
        yield Reason("NodeCordoned", "spec.unschedulable is set")


def resource_blockers(choice: ResourceChoice, *, used: int, request: int) -> Iterator[Reason]:
    """Too few devices: none allocatable, fewer than asked for, or taken by running pods."""
    if choice.name is None:
        return
    if choice.gpus == 0:
        yield Reason("NoAllocatable", f"0 of {choice.capacity} {choice.name} allocatable")
    elif choice.gpus < request:
        yield Reason("NotEnoughGPUs", f"{request} wanted, {choice.gpus} {choice.name} allocatable")
    elif choice.gpus - used < request:
        yield Reason("GPUsTaken", f"{request} wanted, {used} of {choice.gpus} {choice.name} in use")
