"""Kills for lack of memory, as both versions of cgroups count them."""

from pathlib import Path

import pytest

from hipbmm_kernel.system.memory import OomKills


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 9\noom {}\noom_kill {}\noom_group_kill 0\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {1}\n"),
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_kills_for_memory_are_counted_by_both_versions_of_cgroups(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(form.format(7, 3))
    kills = OomKills(str(tmp_path))
    assert not kills.new()
    (tmp_path / name).write_text(form.format(8, 4))
    assert kills.new()
    assert not kills.new()


def test_without_cgroups_no_kill_is_for_memory(tmp_path: Path) -> None:
    assert not OomKills(str(tmp_path)).new()
    (tmp_path / "memory.events").write_text("oom_kill many\n")
    assert not OomKills(str(tmp_path)).new()
