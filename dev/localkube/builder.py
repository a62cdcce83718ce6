"""Go binaries, built once into the cache."""

import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from localkube import modules
from localkube.console import Console, elapsed
from localkube.errors import LocalkubeError
from localkube.locking import exclusive, scratch_directory
from localkube.modules import GoModule
from localkube.paths import cache_root

_TAIL_LINES = 30


def binaries(module: GoModule, console: Console, cache: Path | None = None) -> Path:
    """The directory with the module's binaries; builds them when they are not there.

    Two processes never build the same: the second waits and finds the result. The directory appears by a rename,
    so that one that exists is complete.
    """
    root = (cache or cache_root()) / "bin"
    target = root / module.directory
    if target.is_dir():
        return target
    lock = root / f".{module.name}.lock"
    with exclusive(lock, console, f"another process builds {module.name}; waiting for it"):
        if not target.is_dir():
            _build(module, target, console)
    return target


def tool(name: str, console: Console) -> Path:
    """The path of one binary (kubectl, helm, kwok, ...), built when missing."""
    return binaries(modules.module_of_tool(name), console) / name


def go_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Static binaries; no workspace or flags of the user's; the toolchain that go.mod asks for."""
    return {**env, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "", "GO111MODULE": "on"}


def require_go() -> str:
    """The path of the go command, or an error that says what to install."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise LocalkubeError("the go command is missing: install Go 1.26 or newer")
    return go


def _build(module: GoModule, target: Path, console: Console) -> None:
    go = require_go()
    started = time.monotonic()
    total = _package_count(go, module)
    console.line(f"building {module.name} {module.version} ({', '.join(module.tools)}): {total} packages, once")
    with scratch_directory(target.parent / f".{module.directory}.work") as scratch:
        out = scratch / "bin"
        out.mkdir()
        command = [go, "build", "-v", "-trimpath", "-mod=readonly", "-ldflags", module.ldflags]
        command += ["-tags", modules.BUILD_TAGS, "-o", f"{out}/", "tool"]
        _run(command, module, total, started, console)
        for built, name in modules.RENAMES.items():
            if (out / built).exists():
                (out / built).rename(out / name)
        missing = sorted(set(module.tools) - {path.name for path in out.iterdir()})
        if missing:
            raise LocalkubeError(f"go build of {module.name} left out {', '.join(missing)}")
        out.rename(target)
    console.line(f"built {module.name} {module.version} in {elapsed(time.monotonic() - started)}")


def _run(command: list[str], module: GoModule, total: int, started: float, console: Console) -> None:
    """Run go build; each line of `-v` is one package that was compiled."""
    tail: list[str] = []
    done = 0
    current = "reading modules"
    with subprocess.Popen(
        command,
        cwd=module.path,
        env=go_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = _lines_of(process.stderr)
        while (line := _next(lines)) is not None:
            if line:
                tail = [*tail, line][-_TAIL_LINES:]
                done += _is_package(line)
                current = line if _is_package(line) else current
            clock = elapsed(time.monotonic() - started)
            console.moving(f"building {module.name} {module.version}: {done} of {total} packages, {clock}, {current}")
    if process.returncode != 0:
        raise LocalkubeError(f"go build of {module.name} failed:\n" + "\n".join(tail))


def _is_package(line: str) -> bool:
    return " " not in line and not line.startswith("#")


def _lines_of(stream: IO[str] | None) -> "queue.Queue[str | None]":
    """Lines by way of a thread, so that the clock moves while the linker is silent."""
    lines: queue.Queue[str | None] = queue.Queue()

    def pump() -> None:
        for line in stream or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=pump, daemon=True).start()
    return lines


def _next(lines: "queue.Queue[str | None]") -> str | None:
    try:
        return lines.get(timeout=1)
    except queue.Empty:
        return ""


def _package_count(go: str, module: GoModule) -> int:
    """Packages to compile at most; also downloads the modules, which go build would do silently."""
    command = [go, "list", "-mod=readonly", "-deps", "-tags", modules.BUILD_TAGS, "tool"]
    result = subprocess.run(command, cwd=module.path, env=go_environment(), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LocalkubeError(f"go cannot resolve {module.name}:\n{result.stderr.strip()}")
    return len(result.stdout.splitlines())
