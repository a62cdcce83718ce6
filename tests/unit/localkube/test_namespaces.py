from pathlib import Path

from localkube import namespaces

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
