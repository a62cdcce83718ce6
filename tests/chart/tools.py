"""Tools of the chart tests: helm, kubeconform and kube-score, built from pinned Go modules by `localkube`."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "hipbmm-operator"
EXAMPLES = ROOT / "examples"
UPDATE = "HIPBMM_UPDATE_GOLDEN"


def cache_dir() -> Path:
    """Where derived files live between runs: `$XDG_CACHE_HOME/hipbmm` or `~/.cache/hipbmm`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hipbmm"


def localkube(*args: str) -> str:
    """Standard output of `python -m localkube ARGS`.

    Raises subprocess.CalledProcessError with the command's messages on standard error.
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "dev"), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "localkube", *args]
    return subprocess.run(command, check=True, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


@functools.cache
def tool(name: str) -> str:
    """Path of a tool's binary; the first call may build it."""
    return localkube("tool", name).splitlines()[-1]


def run(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the caller looks at the exit status."""
    return subprocess.run(
        list(command),
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
