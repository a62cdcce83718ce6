"""Where AITER keeps its compiled modules, when the image's own directory cannot be written by this process.

AITER (aiter/jit/core.py) imports from AITER_JIT_DIR only, once it is set, and compiles what it does not find there: 23
modules took 944 s in a public report. So the directory begins with links to the modules that the image has compiled.
Who this process is decides, not the pod's spec: OpenShift assigns the user at admission.
"""

import contextlib
import os
from collections.abc import Mapping

from hipbmm_kernel.identity.software import package_directory
from hipbmm_kernel.system.files import listed

JIT_DIR = "AITER_JIT_DIR"
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - where Python and compilers look


def variables(env: Mapping[str, str], home: str, temporary: tuple[str, ...] = TEMPORARY) -> dict[str, str]:
    """What to add to `env` so that AITER and compilers find directories that can be written, below `home`.

    A user's own values stay. OSError when a directory cannot be made.
    """
    found = {}
    cache, package = f"{home}/cache", package_directory("aiter")
    modules = f"{package}/jit"
    if package and not env.get(JIT_DIR) and os.path.isdir(modules) and not os.access(modules, os.W_OK):
        found[JIT_DIR] = f"{cache}/aiter"
        os.makedirs(found[JIT_DIR], exist_ok=True)
        _link_modules(modules, found[JIT_DIR])
    if not env.get("TMPDIR") and not any(os.access(directory, os.W_OK) for directory in temporary):
        found["TMPDIR"] = f"{cache}/tmp"  # noqa: S108 - the pod's own volume
        os.makedirs(found["TMPDIR"], exist_ok=True)
    return found


def _link_modules(modules: str, own: str) -> None:
    """Link to each compiled module that `own` does not hold yet.

    AITER removes a module that exists before it compiles it again, so a link is never written through. One that leads
    nowhere (the container has another image now) it would not see, and then write through.
    """
    for name in listed(own):
        if not os.path.exists(f"{own}/{name}"):
            os.unlink(f"{own}/{name}")
    for name in listed(modules):
        if name.endswith(".so"):
            with contextlib.suppress(FileExistsError):  # linked by an earlier start, or compiled here
                os.symlink(f"{modules}/{name}", f"{own}/{name}")
