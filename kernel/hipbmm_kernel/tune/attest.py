"""Does the child see the stack that the parent read from files? Pure comparison; any difference stops the tuning."""

import os
from collections.abc import Mapping

from hipbmm_kernel.identity import hipblaslt
from hipbmm_kernel.identity.stack import Stack


def hardware_difference(stack: Stack, hello: Mapping[str, object]) -> str | None:
    """How torch's view of the GPU differs from `stack`, or None. Builds of torch that name no features are believed."""
    arch, _, features = str(hello.get("arch")).partition(":")
    if arch != stack.arch:
        return f"sysfs says {stack.arch}, torch says {arch or hello.get('name')}"
    if features and features != stack.features:
        return f"sysfs says {stack.arch}:{stack.features}, torch says {arch}:{features}"
    if hello.get("computeUnits") != stack.compute_units:
        return f"sysfs says {stack.compute_units} CUs, torch says {hello.get('computeUnits')}"
    return None


def library_difference(stack: Stack, libraries: list[str], env: Mapping[str, str], *, used: bool = False) -> str | None:
    """Whether a libhipblaslt that was loaded has a solution database which is not part of `stack`, or None.

    A database that is not found or cannot be read is no part of the stack: its rows could be another build's. In a
    process whose AITER has made its hipBLASLt handle one is `used`, so it must be seen.
    """
    if used and not libraries and not stack.simulated:  # the simulator has none
        return "no libhipblaslt is mapped in the process that uses it"
    for path in libraries:
        place = os.path.realpath(path)
        try:
            digests = hipblaslt.databases_of(path, stack.arch or "", env)
        except OSError as error:
            return f"{place} was loaded, and its database cannot be read: {error.strerror}"
        if not digests:
            return f"{place} was loaded, and it has no database for {stack.arch}"
        if not set(digests) <= set(stack.databases):
            return f"{place} was loaded, and its database is none of those in the stack"
    return None
