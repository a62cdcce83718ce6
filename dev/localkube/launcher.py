"""Starts the supervisor, for the node profile in its own namespaces."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from localkube import namespaces, node, processes
from localkube.errors import LocalkubeError
from localkube.paths import PACKAGE, Layout
from localkube.record import Record
from localkube.supervisor import COMPONENT_VARIABLE, INSTANCE_VARIABLE, Spec

_FORK_SECONDS = 120.0
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def launch(record: Record, layout: Layout, spec: Spec) -> None:
    """Start it detached, furnish its network when it has one of its own, and let it go."""
    path = layout.run / "spec.json"
    spec.save(path)
    prefix = node.UNSHARE if record.profile == "node" else ()
    with (layout.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "localkube.supervisor", str(path)],
            env=environment(layout, os.environ),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if process.stdin is None:
        raise LocalkubeError("no pipe to the supervisor")
    with process.stdin as pipe:
        if record.profile == "node":
            namespaces.connect(record, layout, _namespaced_pid(process, layout))
        pipe.write(b"go\n")
    # It outlives us on purpose; without this the interpreter warns of a child that nobody waited for.
    process.returncode = 0


def environment(layout: Layout, env: Mapping[str, str]) -> dict[str, str]:
    """The little that components need of `env`, and our marks.

    Not the rest: a proxy would come between the components and the API server, and a shell's secrets are not theirs.
    """
    kept = {name: env[name] for name in _KEPT_VARIABLES if name in env}
    marks = {INSTANCE_VARIABLE: str(layout.root), COMPONENT_VARIABLE: processes.SUPERVISOR}
    return {**kept, **marks, "PYTHONPATH": str(PACKAGE.parent)}


def _namespaced_pid(process: "subprocess.Popen[bytes]", layout: Layout) -> int:
    """The supervisor's pid as the host counts: it is the child of `unshare`."""
    deadline = time.monotonic() + _FORK_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LocalkubeError(f"namespaces cannot be made here; see {layout.logs / 'supervisor.log'}")
        pid = processes.supervisor(layout.root)
        if pid is not None and pid != process.pid:
            return pid
        time.sleep(0.02)
    raise LocalkubeError(f"the supervisor did not start; see {layout.logs / 'supervisor.log'}")
