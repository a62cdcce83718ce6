"""What is remembered of what was read from pods, and for which start of a server it holds. Pure."""

from typing import Any

from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

MAX_ENTRIES = 4096
"""Entries of one memory: some for each pod of a large cluster."""


def trim(memory: dict[Any, Any], most: int = MAX_ENTRIES) -> None:
    """Forget the entries that were put in first: most likely of objects that are gone."""
    while len(memory) > most:
        del memory[next(iter(memory))]


def restarts(pod: Pod) -> int:
    """How often the server of a pod was started again."""
    server = pod.containers.get(contract.SERVER)
    return server.restarts if server is not None else 0


def run(pod: Pod) -> str:
    """One start of the server of one pod."""
    return f"{pod.uid}/{restarts(pod)}"
