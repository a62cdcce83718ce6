"""`payload DIR`: leave the program in DIR/kernel, complete or not at all, for the serving image's Python to run.

The copy is what the OpenTelemetry operator calls injection: an init container of the small operator image puts pure
Python into a volume that the big serving image shares. Compiled files are left out, they belong to another Python.
`payload --zip FILE` makes one file of it that fits into a ConfigMap, for pods into which no image of ours may be put.
"""

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hipbmm_kernel import __version__
from hipbmm_kernel.pod.source_text import stripped
from hipbmm_kernel.system.digest import sha256

PACKAGE = "hipbmm_kernel"
MAIN = f'''"""Runs the program from a directory or zip: python3 DIR COMMAND."""

import _signal
import os

# The kernel drops a signal that the first process of a container neither handles nor blocks. Commands that end in an
# orderly way put their own handler in this one's place.
_signal.signal(_signal.SIGTERM, lambda *_: os._exit(128 + _signal.SIGTERM))

import sys

from {PACKAGE}.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
PLUGIN = {
    "METADATA": f"Metadata-Version: 2.1\nName: hipbmm_dispatch\nVersion: {__version__}\n",
    "entry_points.txt": f"[vllm.general_plugins]\nhipbmm_starts = {PACKAGE}.foreign.starts:register\n"
    f"hipbmm_dispatch = {PACKAGE}.dispatch.plugin:register\n"
    f"hipbmm_kernel = {PACKAGE}.dispatch.kernel_plugin:register\n",
}
"""What makes the table in memory, and the bundled kernel, plugins of vLLM: a directory beside the package, found when
DIR/kernel is on PYTHONPATH (docs of vLLM, plugin system). Each does nothing unless its variable is set."""
ONLY_FOR_PEOPLE = ("acceptance", "cli")
"""Rooms that no container of a pod needs. A zip is without them: a ConfigMap has little room."""
MAX_ZIP = 300_000
"""Bytes; a ConfigMap may have 1 MiB, of which base64 in every request takes a third more."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
USAGE = "usage: hipbmm_kernel payload DIR | --zip FILE\n"


def payload_command(argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """`payload`: 0 when the program is where it should be, 1 when it could not be written, 2 on wrong usage."""
    as_zip = argv[:1] == ["--zip"]
    names = argv[as_zip:]
    if len(names) != 1 or names[0].startswith("-"):
        stderr.write(USAGE)
        return 2
    try:
        said = _write_zip(Path(names[0])) if as_zip else f"{copy_program(Path(names[0]))} files in {names[0]}/kernel"
    except (OSError, ValueError) as error:
        stderr.write(f"hipbmm payload: {error}\n")
        return 1
    stdout.write(f"hipbmm payload: {said}\n")
    return 0


def files() -> Iterator[tuple[str, bytes]]:
    """The program as it is in DIR/kernel: paths with their content, sorted."""
    package = Path(__file__).resolve().parents[1]
    found = {f"{PACKAGE}/{path.relative_to(package)}": path for path in package.rglob("*") if path.is_file()}
    program = {name: path.read_bytes() for name, path in found.items() if path.suffix not in (".pyc", ".pyo")}
    program["__main__.py"] = MAIN.encode("ascii")
    plugin = {f"hipbmm_dispatch-{__version__}.dist-info/{name}": text.encode() for name, text in PLUGIN.items()}
    yield from sorted({**program, **plugin}.items())


def copy_program(home: Path) -> int:
    """Put the program into `home`/kernel; how many files. OSError when it fails.

    Nothing else is made here: this container's user is not the serving image's, and root without capabilities (the
    usual user of a serving image) cannot write into another user's directory.
    """
    target, fresh = home / "kernel", home / f"kernel.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    count = 0
    for name, data in files():
        copy = fresh / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)  # not the permissions: any user may have to read it
        count += 1
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return count


def build_zip() -> bytes:
    """The program in one file that Python runs and imports from, without comments; equal programs give equal bytes.

    ValueError when it is larger than MAX_ZIP.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files():
            if not name.startswith(tuple(f"{PACKAGE}/{room}/" for room in ONLY_FOR_PEOPLE)):
                entry = zipfile.ZipInfo(name, ZIP_TIME)
                entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(entry, stripped(data) if name.endswith(".py") else data)
    made = buffer.getvalue()
    if len(made) > MAX_ZIP:
        raise ValueError(f"the program takes {len(made)} bytes as a zip, more than {MAX_ZIP}")
    return made


def _write_zip(path: Path) -> str:
    made = build_zip()
    path.write_bytes(made)
    return f"{path} sha256={sha256(made)} bytes={len(made)}"
