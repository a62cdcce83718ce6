"""The hipBLASLt libraries that the serving process could load, and the solution databases they would open.

Which one is loaded is decided by the dynamic linker, late. So all of them count: the key then says "one of exactly
these". The sha256 of `TensileLibrary_lazy_<arch>` is the most exact identity of a solution index: ROCm 7.2.3 and 7.2.4
have equal version numbers and rebuilt binaries. Nothing is cached: a cached hash could lie about a changed file.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping

from hipbmm_kernel.system.files import listed, read_text

LIBRARY = "libhipblaslt.so"
TENSILE_PATH = "HIPBLASLT_TENSILE_LIBPATH"
LINKER_CONFIGURATION = "/etc/ld.so.conf.d"
CHUNK = 1 << 20
_VERSION_PARTS = ("MAJOR", "MINOR", "PATCH")


def read_libraries(
    arch: str, env: Mapping[str, str], packages: Iterable[str], notes: list[str]
) -> tuple[str | None, tuple[str, ...]]:
    """The version of the first hipBLASLt library for `arch` (gfx942), and the sha256 of the databases of all, sorted.

    `packages` are directories that hold Python packages' libraries; what is odd is added to `notes`. Never raises.
    Without a library, or with an unreadable database, both are unknown, which makes the stack unknown.
    """
    directories = [path for path in _directories(env, packages) if listed(path, LIBRARY)]
    files = _databases(arch, env, directories, notes)
    digests = []
    for path in files:
        try:
            digests.append(_digest(path))
        except OSError as error:
            notes.append(f"{path}: {error.strerror}")
            return None, ()
    version = next((found for found in map(_version, directories) if found), None)
    if version is None and digests:
        # Libraries inside a Python package carry no header; the database says more than a number anyhow.
        version = f"db-{digests[0][:8]}"
    if not digests:
        notes.append(f"no {LIBRARY} with a TensileLibrary_lazy_{arch} found")
    return version if digests else None, tuple(sorted(set(digests)))


def rocm_roots(env: Mapping[str, str]) -> list[str]:
    """Directories of ROCm installations, the one that the environment names first."""
    prefixes = [*(env[name] for name in ("ROCM_PATH", "ROCM_HOME") if env.get(name)), "/opt/rocm"]
    # ROCm 7.12 and later install below /opt/rocm/core and /opt/rocm/core-<version>.
    nested = [f"{prefix}/{name}" for prefix in prefixes for name in listed(prefix, "core") if name[4:5] in ("", "-")]
    return _unique([*prefixes, *nested, *(f"/opt/{name}" for name in listed("/opt", "rocm-"))])


def databases_of(library: str, arch: str, env: Mapping[str, str]) -> list[str]:
    """The sha256 of each database that the loaded `library` may use; none when it has none. OSError: unreadable."""
    return [_digest(path) for path in _databases(arch, env, [os.path.dirname(os.path.realpath(library))], [])]


def _directories(env: Mapping[str, str], packages: Iterable[str]) -> list[str]:
    """Where the dynamic linker may find the library, in its usual order: package, LD_LIBRARY_PATH, system."""
    named = filter(None, env.get("LD_LIBRARY_PATH", "").split(":"))
    system = (f"{root}/{name}" for root in rocm_roots(env) for name in ("lib", "lib64"))
    return _unique([*packages, *named, *system, *_linker_directories()])


def _linker_directories() -> list[str]:
    """What /etc/ld.so.conf.d adds, and the distributions' own directories."""
    lines = []
    for name in listed(LINKER_CONFIGURATION):
        if name.endswith(".conf"):
            lines += read_text(f"{LINKER_CONFIGURATION}/{name}").splitlines()
    return [line.strip() for line in lines if line.startswith("/")] + ["/usr/lib", "/usr/lib64"]


def _unique(paths: Iterable[str]) -> list[str]:
    """The real paths of existing directories, each once, in order."""
    return [path for path in dict.fromkeys(map(os.path.realpath, paths)) if os.path.isdir(path)]


def _databases(arch: str, env: Mapping[str, str], directories: list[str], notes: list[str]) -> list[str]:
    override = env.get(TENSILE_PATH, "")
    roots = [override] if override else [f"{directory}/hipblaslt/library" for directory in directories]
    found = []
    for root in roots:
        # hipBLASLt 1.4 and later look into the directory of the architecture first (ROCm/rocm-libraries#7717).
        names = [[f"{place}/TensileLibrary_lazy_{arch}{end}" for end in _ENDS] for place in (f"{root}/{arch}", root)]
        paths = [next(filter(os.path.lexists, of_place), None) for of_place in names]
        if not any(paths):
            notes.append(f"{root} has no database for {arch}")
        found += [path for path in paths if path is not None]
    return list(dict.fromkeys(map(os.path.realpath, found)))


_ENDS = (".dat", ".dat.zlib", ".yaml")


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _version(directory: str) -> str | None:
    """Of the header beside a library; else what follows the soname in the file's own name."""
    header = read_text(f"{os.path.dirname(directory)}/include/hipblaslt/hipblaslt-version.h")
    parts = [re.search(rf"HIPBLASLT_VERSION_{part}\s+(\d+)", header) for part in _VERSION_PARTS]
    if all(parts):
        return ".".join(part.group(1) for part in parts if part)
    names = (os.path.basename(os.path.realpath(f"{directory}/{name}")) for name in listed(directory, f"{LIBRARY}."))
    versions = (re.fullmatch(rf"{re.escape(LIBRARY)}\.(\d+\.\d+[.\d]*)", name) for name in names)
    return next((match.group(1) for match in versions if match), None)
