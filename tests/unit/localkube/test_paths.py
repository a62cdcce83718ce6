from pathlib import Path

import pytest

from localkube import paths
from localkube.errors import UsageError
from localkube.paths import Layout


@pytest.mark.parametrize("name", ["a", "demo", "n-1", "a" * 24])
def test_names_become_directories(name: str) -> None:
    assert Layout.of(name, {"HIPBMM_LOCALKUBE_DIR": "/state"}).root == Path("/state") / name


@pytest.mark.parametrize("name", ["", "A", "1a", "a-", "-a", "a/b", "..", "a.b", "a" * 25, "ä"])
def test_names_that_could_not_be_hosts_and_cgroups_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="instance name"):
        Layout.of(name, {})


def test_directories_follow_the_xdg_specification() -> None:
    assert paths.cache_root({"HOME": "/h"}) == Path("/h/.cache/hipbmm")
    assert paths.cache_root({"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == Path("/c/hipbmm")
    assert paths.cache_root({"HOME": "/h", "XDG_CACHE_HOME": "relative"}) == Path("/h/.cache/hipbmm")
    assert paths.state_root({"HOME": "/h"}) == Path("/h/.local/state/hipbmm/localkube")
    assert paths.state_root({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/hipbmm/localkube")


def test_instances_are_those_with_a_record(tmp_path: Path) -> None:
    env = {"HIPBMM_LOCALKUBE_DIR": str(tmp_path)}
    assert paths.instances(env) == []
    for name in ("b", "a", "no-record"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "instance.json").write_text("{}")
    assert [layout.name for layout in paths.instances(env)] == ["a", "b"]
