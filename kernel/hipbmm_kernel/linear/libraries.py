"""The libraries that this process has loaded, and whether those of AITER find the one that torch uses."""

import contextlib
import ctypes
import functools
import os
import re

MAPS = "/proc/self/maps"


def loaded_libraries(name: str = "libhipblaslt") -> list[str]:
    """The files of every library of that name that this process has mapped: the ones in use."""
    pattern = re.compile(rf"/.*{name}\.so\S*")  # the path begins at the first slash of a line, and may have blanks
    with open(MAPS, encoding="utf-8", errors="replace") as maps:
        found = {match.group(0) for match in map(pattern.search, maps) if match}
    return sorted(found)


@functools.cache
def share_hip_runtime() -> None:
    """Make the symbols of the HIP runtime that torch has loaded visible to all libraries, as vLLM does from 0.28.

    torch loads its libamdhip64 privately. AITER's modules look for HIP's symbols in the process, and a second runtime
    that the loader finds for them instead knows no device memory of torch's. Once in a process: a server asks for AITER
    for each of its linears, and its map of memory has thousands of lines.
    """
    with contextlib.suppress(OSError):  # no such file any more: AITER may find the runtime by itself, as before
        for path in loaded_libraries("libamdhip64"):
            ctypes.CDLL(path, mode=os.RTLD_GLOBAL | os.RTLD_NOLOAD)
