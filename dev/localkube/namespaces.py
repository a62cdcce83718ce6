"""The node's namespaces seen from the host: mount points, cgroup, link; made before it starts, removed afterwards."""

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from localkube import node
from localkube.errors import LocalkubeError
from localkube.paths import Layout, instances
from localkube.record import Record

_MOUNT_POINTS = "mount-points.json"


def prepare(layout: Layout) -> list[str]:
    """Directories and cgroup that must exist before the start. Returns the kernel settings that this kernel has."""
    for source in node.MOUNTS.values():
        if source is not None:
            (layout.root / source).mkdir(parents=True, exist_ok=True)
    made = set(_made(layout))
    for target in map(Path, node.MOUNTS):
        missing = [parent for parent in (target, *target.parents) if not parent.exists()]
        made.update(map(str, missing))
    # Written before they are made: what is listed in vain does no harm, what is forgotten stays for ever.
    (layout.root / _MOUNT_POINTS).write_text(json.dumps(sorted(made)), encoding="utf-8")
    for target in map(Path, node.MOUNTS):
        target.mkdir(parents=True, exist_ok=True)
    for parent in cgroup_roots(Path("/proc/mounts").read_text(encoding="utf-8")):
        (parent / node.cgroup_name(layout)).mkdir(exist_ok=True)
    return [name for name in node.KERNEL_SETTINGS if Path("/proc/sys", name).exists()]


def connect(record: Record, layout: Layout, pid: int) -> None:
    """Link the host with the network namespace of `pid`."""
    disconnect(layout)
    for command in node.host_commands(record.networks, node.host_interface(layout), pid):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise LocalkubeError(f"{' '.join(command)}: {result.stderr.strip()}")


def disconnect(layout: Layout) -> None:
    """Remove the link at once; the kernel would do it some time after the namespace's last process."""
    interface = node.host_interface(layout)
    if Path("/sys/class/net", interface).exists():
        # It may vanish by itself at this very moment.
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)


def clean(layout: Layout) -> None:
    """Remove what a stopped node left on the host: link, cgroups, and mount points that we made and nobody uses."""
    if shutil.which("ip"):
        disconnect(layout)
    for parent in cgroup_roots(Path("/proc/mounts").read_text(encoding="utf-8")):
        _remove_cgroup(parent / node.cgroup_name(layout))
    used = {path for other in instances() if other != layout for path in _made(other)}
    for path in sorted(_made(layout), reverse=True):
        if path not in used:
            # Not empty: another program has made it its own.
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def cgroup_roots(mounts: str) -> list[Path]:
    """Mount points of cgroup v1 hierarchies, or of v2 when there is none of v1; from /proc/mounts."""
    fields = [line.split() for line in mounts.splitlines()]
    first = [Path(field[1]) for field in fields if field[2] == "cgroup"]
    second = [Path(field[1]) for field in fields if field[2] == "cgroup2"]
    return first or second[:1]


def _remove_cgroup(path: Path) -> None:
    """Depth first: a cgroup's files cannot be unlinked, but an empty one can be removed by rmdir."""
    if not path.is_dir():
        return
    for child in path.iterdir():
        if child.is_dir():
            _remove_cgroup(child)
    deadline = time.monotonic() + 5
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            # Busy until the kernel has done away with the processes that were killed.
            if time.monotonic() > deadline:
                raise LocalkubeError(f"cgroup {path} cannot be removed: {error}") from error
            time.sleep(0.05)
        else:
            return


def _made(layout: Layout) -> list[str]:
    try:
        return [str(path) for path in json.loads((layout.root / _MOUNT_POINTS).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
