"""The stack of this container, read in milliseconds: no torch, no HIP, no subprocess.

The tuning child checks the same parts through torch before it tunes (`tune.attest`); here they only have to be exact
enough that no row of another stack can ever be served.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hipbmm_kernel.identity import gpu as identity_gpu
from hipbmm_kernel.identity import hipblaslt, software
from hipbmm_kernel.identity.gpu import Gpu
from hipbmm_kernel.identity.stack import Stack


class Identity(NamedTuple):
    """The stack, how many GPUs this container has, and what was odd while reading them (for people)."""

    stack: Stack
    gpus: int
    vllm: str | None
    notes: tuple[str, ...]


def read_identity(sysfs: str, dev: str, env: Mapping[str, str], simulated: bool) -> Identity:
    """What this container is. Never raises: what cannot be read is None in the stack, and its key `unknown`."""
    notes: list[str] = []
    gpus = identity_gpu.read_gpus(sysfs, dev, env, notes)
    parts = _common(gpus, notes)
    arch = parts.get("arch")
    version, databases = (
        hipblaslt.read_libraries(arch, env, software.library_directories(), notes) if arch is not None else (None, ())
    )
    stack = Stack(
        **parts,
        hipblaslt=version,
        databases=databases,
        aiter=software.package_version("aiter", "amd_aiter", "aiter"),
        fp8=identity_gpu.FP8_BY_ARCH.get(arch or ""),
        rocm=software.rocm_version(env),
        environment=software.selecting_environment(env),
        simulated=simulated,
    )
    return Identity(stack, len(gpus), software.package_version("vllm"), tuple(notes))


def _common(gpus: list[Gpu], notes: list[str]) -> dict[str, Any]:
    """The parts of the stack that all GPUs of the container have in common; one that differs is unknown."""
    found = {name: {getattr(gpu, name) for gpu in gpus} for name in Gpu._fields if name != "minor"}
    differing = [name for name, values in found.items() if len(values) > 1]
    if differing:
        notes.append(f"the GPUs of this container differ in {', '.join(differing)}")
    return {name: values.pop() for name, values in found.items() if len(values) == 1}
