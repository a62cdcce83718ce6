"""Whether pods can start on a node now. Kept apart from what the node is: a cordon does not change its GPUs."""

from collections.abc import Mapping, Sequence
from typing import Any

from hipbmm_operator.detect.facts import NodeFacts, Taint
from hipbmm_operator.detect.reasons import Reason
from hipbmm_operator.detect.resources import ResourceChoice
from hipbmm_operator.detect.tolerations import untolerated
from hipbmm_operator.detect.values import shown


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
