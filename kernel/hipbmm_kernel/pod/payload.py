"""`payload DIR`: leave the program in DIR/kernel, complete or not at all, for the serving image's Python to run.

The copy is what the OpenTelemetry operator calls injection: an init container of the small operator image puts pure
Python into a volume that the big serving image shares. Compiled files are left out, they belong to another Python.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hipbmm_kernel import __version__

if TYPE_CHECKING:
    from typing import TextIO

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
    "entry_points.txt": f"[vllm.general_plugins]\nhipbmm_dispatch = {PACKAGE}.dispatch.plugin:register\n",
}
"""What makes the table in memory a plugin of vLLM: a directory beside the package, found when DIR/kernel is on
PYTHONPATH (docs of vLLM, plugin system). It does nothing where no table is named."""
USAGE = "usage: hipbmm_kernel payload DIR\n"


def payload_command(argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """`payload DIR`: 0 when DIR/kernel holds the program, 1 when it could not be written, 2 on wrong usage."""
    if len(argv) != 1 or argv[0].startswith("-"):
        stderr.write(USAGE)
        return 2
    try:
        files = copy_program(Path(argv[0]))
    except OSError as error:
        stderr.write(f"hipbmm payload: {error}\n")
        return 1
    stdout.write(f"hipbmm payload: {files} files in {argv[0]}/kernel\n")
    return 0


def copy_program(home: Path) -> int:
    """Put the program into `home`/kernel; how many files. OSError when it fails.

    Nothing else is made here: this container's user is not the serving image's, and root without capabilities (the
    usual user of a serving image) cannot write into another user's directory.
    """
    target, fresh = home / "kernel", home / f"kernel.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    package = Path(__file__).resolve().parents[1]
    sources = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyo")]
    for source in sources:
        copy = fresh / PACKAGE / source.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)  # not the permissions: any user may have to read it
    (fresh / "__main__.py").write_text(MAIN, encoding="ascii")
    plugin = fresh / f"hipbmm_dispatch-{__version__}.dist-info"
    plugin.mkdir()
    for name, text in PLUGIN.items():
        (plugin / name).write_text(text, encoding="ascii")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return len(sources) + 1 + len(PLUGIN)
