"""What the memory that a container has left suffices for.

An init container that is killed for lack of memory starts again, and LeaderWorkerSet then makes the whole group anew.
So children that need more than is left are not started at all.
"""

from typing import NamedTuple

IMAGE_CHILD = 2 << 30
"""vLLM's import and the model on the meta device: 1.1 GiB for the largest models, and what the kernel module needs."""
TUNE_CHILD = 4 << 30
"""torch for ROCm with hipBLASLt's code objects and one set of operands on the host."""


class Room(NamedTuple):
    """What may run: `ask` the image's vLLM, and on how many GPUs to tune. `note` says what may not."""

    ask: bool
    gpus: int
    note: str = ""


def room(free: int | None, gpus: int) -> Room:
    """What `free` bytes suffice for in a pod with so many GPUs."""
    if free is None or free >= max(IMAGE_CHILD, gpus * TUNE_CHILD):
        return Room(ask=True, gpus=gpus)
    words = f"{free >> 20} MiB of the container's memory are left"
    fit = min(gpus, free // TUNE_CHILD)
    if fit:
        return Room(ask=True, gpus=fit, note=f"{words}: tuning on {fit} of {gpus} GPUs")
    if free >= IMAGE_CHILD:
        return Room(ask=True, gpus=0, note=f"{words}: too few to tune")
    return Room(ask=False, gpus=0, note=f"{words}: too few to ask the image's vLLM, or to tune")
