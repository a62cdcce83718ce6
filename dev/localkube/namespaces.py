"""The node's namespaces seen from the host: mount points, cgroup, link; made before it starts, removed afterwards."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from localkube import node
from localkube.errors import LocalkubeError
from localkube.paths import Layout
from localkube.record import Record

# On the mount points that we made. Of the namespace "trusted", which tmpfs has too; only root sees it.
_MARK = "trusted.hipbmm-localkube"

# What was killed has memory to give back first, on a machine that may have others to serve.
_DYING_SECONDS = 90

# sun_path of sockaddr_un, without the final NUL.
_LONGEST_SOCKET = 107


def prepare(layout: Layout) -> list[str]:
    """Directories and cgroup that must exist before the start. Returns the kernel settings that this kernel has."""
    longest = f"{layout.containerd_socket}.ttrpc"
    if len(longest) > _LONGEST_SOCKET:
        raise LocalkubeError(f"{longest} is too long for a socket; set HIPBMM_LOCALKUBE_DIR to a shorter directory")
    for source in node.MOUNTS.values():
        if source is not None:
            (layout.root / source).mkdir(parents=True, exist_ok=True)
    for target in map(Path, node.MOUNTS):
        _make_mount_point(target)
    try:
        for parent in cgroup_roots(Path("/proc/mounts").read_text(encoding="utf-8")):
            enable_controllers(parent)
            (parent / node.cgroup_name(layout)).mkdir(exist_ok=True)
    except OSError as error:
        raise LocalkubeError(f"cgroups cannot be made here, and without them no pod runs: {error}") from error
    return [name for name in node.KERNEL_SETTINGS if Path("/proc/sys", name).exists()]


def connect(record: Record, layout: Layout, pid: int) -> None:
    """Link the host with the network namespace of `pid`."""
    disconnect(layout)
    for command in node.host_commands(record.networks, node.host_interface(layout), pid):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise LocalkubeError(
                f"{' '.join(command)}: {result.stderr.strip()}. If another network has come to use "
                f"{record.block}: `localkube down --name {record.name}` and `up` choose a free one"
            )


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
    used = mount_points_in_use()
    for target in map(Path, node.MOUNTS):
        for path in (target, *target.parents):
            # To remove a directory takes away what is mounted on it, in other mount namespaces too.
            if str(path) in used or not _is_ours(path):
                break
            # Not empty: another program has made it its own.
            with contextlib.suppress(OSError):
                path.rmdir()


def cgroup_roots(mounts: str) -> list[Path]:
    """Mount points of all cgroup hierarchies, of both versions (runc uses both where both are); from /proc/mounts."""
    fields = [line.split() for line in mounts.splitlines()]
    return [Path(field[1]) for field in fields if field[2] in {"cgroup", "cgroup2"}]


def enable_controllers(root: Path) -> None:
    """Hand the controllers of a cgroup v2 hierarchy down to its children: the kubelet refuses a cgroup without them.

    systemd does so on demand only. In v1, and where v1 has the controllers, there is nothing to hand down.
    """
    offered = root / "cgroup.controllers"
    if not offered.exists():
        return
    for controller in offered.read_text(encoding="ascii").split():
        # One at a time: one that is in use elsewhere (cpu with real-time processes) must not keep out the others.
        with contextlib.suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def _remove_cgroup(path: Path) -> None:
    """Depth first: a cgroup's files cannot be unlinked, but an empty one can be removed by rmdir."""
    if not path.is_dir():
        return
    for child in path.iterdir():
        if child.is_dir():
            _remove_cgroup(child)
    deadline = time.monotonic() + _DYING_SECONDS
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


def mount_points_in_use(proc: Path = Path("/proc")) -> set[str]:
    """All mount points of all mount namespaces that this user may see."""
    points: set[str] = set()
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The fifth field, with blanks written as \\040; ours have none.
                points.update(line.split()[4] for line in (entry / "mountinfo").read_text("utf-8").splitlines())
    return points


def _make_mount_point(path: Path) -> None:
    """A missing directory is made and marked, so that whichever instance is the last removes it."""
    for missing in reversed([parent for parent in (path, *path.parents) if not parent.exists()]):
        missing.mkdir(exist_ok=True)
        # A file system without attributes: the directory stays, empty.
        with contextlib.suppress(OSError):
            os.setxattr(missing, _MARK, b"")


def _is_ours(path: Path) -> bool:
    try:
        os.getxattr(path, _MARK)
    except OSError:
        return False
    return True
