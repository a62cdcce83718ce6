"""Versions of the Python packages of the serving image, from their files: importing them costs seconds."""

import importlib.util
import re
import sys
from collections.abc import Mapping

from hipbmm_kernel.identity.hipblaslt import rocm_roots
from hipbmm_kernel.system.files import listed, read_text

_ASSIGNED = re.compile(
    r"^(?:__version__|version)\s*(?::\s*\w+\s*)?=\s*(?:version\s*=\s*)?['\"]([^'\"\s]{1,80})['\"]", re.MULTILINE
)
_HIP = r"(?m)^hip\s*(?::[^=\n]+)?=\s*['\"]([^'\"\s]{1,40})['\"]"

SELECTING = ("TENSILE_SOLUTION_SELECTION_METHOD",)
SELECTING_PREFIX = "HIPBLASLT_"
NOT_SELECTING = ("HIPBLASLT_LOG_", "HIPBLASLT_TENSILE_LIBPATH", "HIPBLASLT_CHECK_NUMERICS")
"""Logging changes nothing, and the library path is in the key by the content of what it points to."""
MAX_VALUE = 512


def package_directory(name: str) -> str | None:
    """The directory of an importable package, without importing it; editable installs included. None: not there."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(iter(spec.submodule_search_locations), None)


def add_python_path(paths: str) -> None:
    """Find packages in the directories of a PYTHONPATH, too, which an isolated Python does not.

    They come before the installed packages, as for the server, and behind the standard library, which we import.
    """
    at = next((at for at, path in enumerate(sys.path) if path.endswith("-packages")), len(sys.path))
    sys.path[at:at] = filter(None, paths.split(":"))


def library_directories() -> list[str]:
    """Directories of libraries that Python packages bring along: torch's own, and ROCm as Python packages."""
    torch = package_directory("torch")
    found = [f"{torch}/lib"] if torch else []
    for path in sys.path:
        found += [f"{path}/{name}/lib" for name in listed(path, "_rocm_sdk_")] if path else []
    return found


def package_version(package: str, *distributions: str) -> str | None:
    """The version of the package that would be imported: of its own _version.py, else of its installed metadata.

    None when the image has none.
    """
    directory = package_directory(package)
    if directory is None:
        return None
    for name in ("_version.py", "version.py", "__init__.py"):
        match = _ASSIGNED.search(read_text(f"{directory}/{name}"))
        if match:
            return match.group(1)
    return _metadata_version(distributions or (package,))


def _metadata_version(distributions: tuple[str, ...]) -> str | None:
    """The version in the name of the first `<name>-<version>.dist-info` (or `.egg-info`) of sys.path."""
    for path in sys.path:
        for name in distributions:
            for found in listed(path, f"{name}-") if path else []:
                stem, dot, kind = found.rpartition(".")
                if dot and kind in ("dist-info", "egg-info"):
                    return stem[len(name) + 1 :].split("-py")[0]
    return None


def rocm_version(env: Mapping[str, str]) -> str | None:
    """Of the ROCm installation; else of the HIP that torch was built with."""
    for root in rocm_roots(env):
        text = read_text(f"{root}/.info/version").strip()
        if text:
            return text.split("-")[0][:40]
    torch = package_directory("torch")
    match = re.search(_HIP, read_text(f"{torch}/version.py")) if torch else None
    return match.group(1) if match else None


def selecting_environment(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The set variables that change which solution hipBLASLt picks, sorted."""
    return tuple(
        (name, value[:MAX_VALUE])
        for name, value in sorted(env.items())
        if name in SELECTING or (name.startswith(SELECTING_PREFIX) and not name.startswith(NOT_SELECTING))
    )
