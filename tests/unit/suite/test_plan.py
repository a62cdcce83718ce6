"""Which stages `make test` has."""

from fnmatch import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import plan
from suite.stage import Stage, lanes


def stage(name: str) -> Stage:
    return next(stage for stage in plan.full() if stage.name == name)


def test_each_file_of_the_cluster_tests_is_in_one_of_the_two_halves() -> None:
    (ignored,) = [word.partition("=")[2] for word in stage("cluster").command if word.startswith("--ignore-glob=")]
    second = {word for word in stage("bad-days").command if word.endswith(".py")}
    files = {str(path) for path in Path("tests/cluster").glob("test_*.py")}
    assert {file for file in files if fnmatch(file, ignored)} == second
    assert second < files


def test_the_halves_run_side_by_side_on_instances_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HIPBMM_TEST_INSTANCE", "mine")
    assert stage("cluster").lane != stage("bad-days").lane
    assert dict(stage("bad-days").env)["HIPBMM_TEST_INSTANCE"] != "mine"


def test_the_halves_do_not_meet_on_a_cluster_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "theirs")
    assert stage("cluster").lane == stage("bad-days").lane


def test_every_stage_is_in_one_lane() -> None:
    stages = plan.full()
    assert sorted(each.name for lane in lanes(stages) for each in lane) == sorted(each.name for each in stages)


def test_a_property_tries_the_same_examples_in_each_run() -> None:
    tried: list[tuple[int, str]] = []

    @given(st.integers(), st.text())
    def holds(number: int, text: str) -> None:
        tried.append((number, text))

    holds()
    first = tried.copy()
    tried.clear()
    holds()
    assert tried == first


def test_soak_tries_other_examples_of_each_property() -> None:
    command = next(stage for stage in plan.soak() if stage.name == "soak-properties").command
    files = {path for path in Path("tests").rglob("test_*.py") if "@given(" in path.read_text()}
    files = {path for path in files if not path.is_relative_to("tests/cluster")}  # these need a cluster
    assert files == {path for path in files if any(path.is_relative_to(word) for word in command)}
