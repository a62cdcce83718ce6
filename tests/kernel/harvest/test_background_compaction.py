"""The sidecar compacts the store in a child, when there is something to do, and never waits for it."""

import os
import sys
import time
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.pods import Pod, row
from tests.kernel.store.stores import names, put, read

from hipbmm_kernel.harvest.background_compaction import INTERVAL, BackgroundCompaction
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store.reader import MANY


def until_it_ends(compacting: BackgroundCompaction) -> None:
    ends = time.monotonic() + 120
    while compacting._running():
        assert time.monotonic() < ends
        time.sleep(0.02)


def many(pod: Pod, stack: Stack) -> None:
    for at in range(MANY):
        put(pod.store, stack, row(m=1 + at), origin=f"pod-{at}.warm")


def test_a_pod_that_has_published_makes_few_shards_of_many(pod: Pod, a_stack: Stack) -> None:
    many(pod, a_stack)
    before = read(pod.store, a_stack)
    clock = FakeClock()
    published = 0
    compacting = BackgroundCompaction(pod.settings(), clock, lambda: published)
    clock.sleep(INTERVAL)
    compacting.turn()
    until_it_ends(compacting)
    assert len(names(pod.store)) == MANY, "nothing was published by this pod"
    published = 1
    compacting.turn()
    until_it_ends(compacting)
    assert len(names(pod.store)) == MANY + 1
    assert read(pod.store, a_stack) == before
    compacting.turn()
    assert not compacting._running(), "not twice in a row"


@pytest.mark.parametrize("variable", ["HOME", "PYTHONPATH", "PYTHONHOME"])
def test_neither_the_working_directory_nor_variables_take_the_place_of_pythons_own_files(
    pod: Pod, a_stack: Stack, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    many(pod, a_stack)
    (pod.root / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(pod.root)
    monkeypatch.setenv(variable, str(pod.root))
    clock = FakeClock()
    compacting = BackgroundCompaction(pod.settings(), clock, lambda: 1)
    clock.sleep(INTERVAL)
    compacting.turn()
    until_it_ends(compacting)
    assert len(names(pod.store)) == MANY + 1


def test_where_no_process_can_be_started_the_sidecar_goes_on_and_tries_again(
    pod: Pod, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pod, a_stack)
    clock = FakeClock()
    published = 1
    compacting = BackgroundCompaction(pod.settings(), clock, lambda: published)
    with monkeypatch.context() as without:
        without.setattr(sys, "executable", "/nowhere/python3")
        clock.sleep(INTERVAL)
        compacting.turn()
    published = 2
    clock.sleep(INTERVAL)
    compacting.turn()
    until_it_ends(compacting)
    assert len(names(pod.store)) == MANY + 1


def test_a_child_that_runs_is_ended_with_the_sidecar(pod: Pod, a_stack: Stack, tmp_path: Path) -> None:
    many(pod, a_stack)
    clock = FakeClock()
    compacting = BackgroundCompaction(pod.settings(), clock, lambda: 1)
    clock.sleep(INTERVAL)
    compacting.turn()
    child = compacting._child
    assert child
    compacting.close()
    assert os.waitpid(child, 0)[0] == child
