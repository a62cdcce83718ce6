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
def share_hip_runtime(extension: str) -> None:
    """Make the symbols of the HIP runtime that torch has loaded visible to all libraries, as vLLM does from 0.28.

    torch loads its libamdhip64 privately. AITER's modules look for HIP's symbols in the process, and a second runtime
    that the loader finds for them instead knows no device memory of torch's. `extension` is torch's own library: of two
    runtimes it is the one that is found from there. Once in a process: a server asks for AITER for each of its linears,
    and its map of memory has thousands of lines.
    """
    with contextlib.suppress(OSError, AttributeError):  # it cannot be found: AITER may find it by itself, as before
        found = loaded_libraries("libamdhip64")
        for path in found:
            if len(found) == 1 or _hip(path) == _hip(extension):
                ctypes.CDLL(path, mode=os.RTLD_GLOBAL | os.RTLD_NOLOAD)


def _hip(library: str) -> int | None:
    """The address of a function of HIP, looked up in a library and those that it needs."""
    return ctypes.cast(ctypes.CDLL(library, mode=os.RTLD_NOLOAD).hipGetDeviceCount, ctypes.c_void_p).value
