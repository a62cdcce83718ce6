import os
from pathlib import Path

import pytest

from localkube import namespaces
from localkube.errors import LocalkubeError
from localkube.paths import Layout

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


def test_all_cgroup_hierarchies_are_found() -> None:
    expected = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified")]
    assert namespaces.cgroup_roots(MOUNTS) == expected
    assert namespaces.cgroup_roots("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [Path("/sys/fs/cgroup")]


def test_mount_points_of_every_mount_namespace_count(tmp_path: Path) -> None:
    for pid, target in ((1, "/a"), (22, "/var/lib/kubelet")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "mountinfo").write_text(f"36 35 98:0 /x {target} rw shared:1 - ext4 /dev/x rw\n")
    (tmp_path / "3").mkdir()
    (tmp_path / "self").mkdir()
    assert namespaces.mount_points_in_use(tmp_path) == {"/a", "/var/lib/kubelet"}


def test_each_controller_is_handed_down_by_itself(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory\n")
    # A pipe keeps what is written apart, as the kernel's file does.
    control = tmp_path / "cgroup.subtree_control"
    os.mkfifo(control)
    reader = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
    try:
        namespaces.enable_controllers(tmp_path)
        assert os.read(reader, 100) == b"+cpuset+cpu+memory"
    finally:
        os.close(reader)


def test_a_first_version_hierarchy_is_left_alone(tmp_path: Path) -> None:
    namespaces.enable_controllers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_too_deep_for_a_socket_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(LocalkubeError, match="HIPBMM_LOCALKUBE_DIR"):
        namespaces.prepare(Layout(tmp_path / ("d" * 100) / "x"))
