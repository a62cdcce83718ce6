"""`warm` killed at random moments: no child survives it, no row is wrong, and the next pod completes the table."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import table
from hipbmm_kernel.system.volume import Volume

KILLS = 20
SEED = 20_260_605


def rows(pod: Pod) -> dict[str, int]:
    reader = store.Reader(Volume(), FakeClock(), pod.stack().key, 1.0)
    merged = table.merge(reader.shards(str(pod.store)))
    return {row.key: row.algo_index for row in merged.winners()}


def children_of(home: Path) -> list[int]:
    """Processes whose working directory is below `home`."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if place.readlink().is_relative_to(home):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def ended(home: Path) -> bool:
    deadline = time.monotonic() + 60
    while children_of(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.timeout(3600)
def test_kills_at_random_moments(make_pod: PodMaker, tmp_path: Path) -> None:
    undisturbed = make_pod("undisturbed")
    undisturbed.env["HIPBMM_SIM_JITTER"] = "0"  # equal measurements, so that every run finds the same rows
    began = time.monotonic()
    undisturbed.run("warm")
    seconds = time.monotonic() - began
    truth = rows(undisturbed)
    assert len(truth) == undisturbed.message["tuned"] == 12

    draw = random.Random(SEED)
    shared = tmp_path / "shared"
    for number in range(KILLS):
        pod = make_pod(f"pod-{number}")
        pod.store = shared
        shared.mkdir(exist_ok=True)
        pod.env |= {"HIPBMM_STORE": str(shared), "HIPBMM_SIM_JITTER": "0"}
        running = pod.start("warm")
        with running:
            try:
                running.wait(draw.uniform(0.2, 1.2) * seconds)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
        assert ended(pod.home), "a child outlived its parent"
        assert rows(pod).items() <= truth.items(), "a row is wrong"

    last = make_pod("last")
    last.store = shared
    last.env |= {"HIPBMM_STORE": str(shared), "HIPBMM_SIM_JITTER": "0"}
    last.run("warm")
    assert last.message["state"] == "Complete"
    assert rows(last) == truth
