"""What the server asked for without a row, in the store and in the log: when it has grown, and ever more seldom."""

import json
import threading

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.pods import Pod

from hipbmm_kernel.dispatch import demand
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.harvest.demand_publisher import INTERVAL, MAX_INTERVAL, DemandPublisher
from hipbmm_kernel.harvest.dispatch_files import DispatchFiles
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.mirror import shards

DAY = 86400


class Serving:
    """A pod whose server misses M 7 `calls` times between two turns of its sidecar."""

    def __init__(self, pod: Pod, stack: Stack, *, mirror: bool) -> None:
        (pod.home / "dispatch").mkdir()
        (pod.home / "report.json").write_text(json.dumps({"key": stack.key}))
        self.stack, self.pod = stack, pod
        self.clock = FakeClock()
        self.recorder = Recorder(str(pod.home / "dispatch"), 0)
        self.lines: list[str] = []
        settings = pod.settings()
        dispatched = DispatchFiles(Volume(), settings.dispatch_table)
        announce = self.lines.append if mirror else None
        self.demanding = DemandPublisher(settings, Volume(), self.clock, dispatched, lambda _: None, announce)

    def turn(self, calls: int, seconds: float = 20.0) -> None:
        for _ in range(calls):
            self.recorder.missed((7, 256, 512, False))
        self.recorder.write()
        self.demanding.turn()
        self.clock.sleep(seconds)

    @property
    def announced(self) -> int:
        """Shards in the log."""
        return len({line.split(" ")[1] for line in self.lines})

    def calls(self) -> int:
        """Of M 7, in the newest shard that the operator finds in the log."""
        (found,) = shards.newest_in_log("\n".join(self.lines), shards.of_sidecar(self.pod.root.name))
        (self.pod.home / "mirror").mkdir(exist_ok=True)
        (self.pod.home / "mirror" / f"{found.name}.gz").write_bytes(found.packed)
        (item,) = demand.read(Volume(), [str(self.pod.home / "mirror")], self.stack.key, [])
        return item.calls


@pytest.fixture
def serving(pod: Pod, a_stack: Stack) -> Serving:
    return Serving(pod, a_stack, mirror=True)


def test_the_log_has_what_is_hot_and_at_least_half_of_it_at_any_time(serving: Serving) -> None:
    serving.turn(demand.MIRROR_CALLS - 1)
    assert serving.lines == []
    for at in range(1, 100):
        serving.turn(10, INTERVAL / 4)
        assert serving.calls() >= (31 + 10 * at) / 2 - 30
    assert serving.announced <= 6


def test_a_pod_that_lives_for_weeks_writes_once_a_day(serving: Serving) -> None:
    for _ in range(24 * 30):
        serving.turn(40, 3600)
    assert 30 <= serving.announced <= 40
    assert MAX_INTERVAL == DAY


def test_what_has_not_grown_is_not_written_again(serving: Serving) -> None:
    serving.turn(100)
    for _ in range(50):
        serving.turn(0, INTERVAL)
    assert serving.announced == 1


def test_a_pod_that_ends_writes_its_last_counts(serving: Serving) -> None:
    serving.turn(100)
    serving.turn(50)
    assert serving.calls() == 100
    serving.demanding.finish(2.0)
    assert serving.calls() == 150


def test_a_pod_without_room_for_a_thread_publishes_at_its_end(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, a_stack: Stack
) -> None:
    def no_room(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_room)
        serving.turn(calls=100)
        serving.demanding.finish(2.0)
    assert not (serving.pod.store / "v1").exists()
    serving.demanding.finish(60.0)
    assert demand.read(Volume(), [str(serving.pod.store)], a_stack.key, [])


def test_without_a_mirror_nothing_is_in_the_log(pod: Pod, a_stack: Stack) -> None:
    serving = Serving(pod, a_stack, mirror=False)
    serving.turn(100)
    serving.demanding.finish(60.0)
    assert serving.lines == []
    (item,) = demand.read(Volume(), [str(pod.store)], a_stack.key, [])
    assert item.calls == 100
