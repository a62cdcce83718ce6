"""Pods that share a store: which problems one leaves to others, by what they publish."""

import errno
import io
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume, failing
from tests.kernel.pods import row
from tests.kernel.store.stores import put

from hipbmm_kernel.contract.progress import LIFE_SECONDS, Progress
from hipbmm_kernel.contract.settings import parse_settings
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Problem, key_of
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.volume import Volume
from hipbmm_kernel.tune.cooperation import MORE_SECONDS, STALLED_SECONDS
from hipbmm_kernel.tune.handover import Handover
from hipbmm_kernel.tune.peers import REFRESH_SECONDS, Peers
from hipbmm_kernel.tune.sharing import SharingTuner
from hipbmm_kernel.tune.visit import Job, Visit

PLAN = [Problem(m, 256, 512) for m in range(1, 9)]


def a_handover(root: Path, stack: Stack, clock: Clock, stop: Stop, said: io.StringIO) -> Handover:
    settings = parse_settings({"HIPBMM_STORE": str(root), "HIPBMM_HOME": str(root)})
    identity = Identity(stack, 1, None, ())
    return Handover(settings, identity, {}, Volume(), clock, stop, Progress(said, clock), lambda _line: None)


def test_a_pod_that_tunes_another_model_is_not_waited_for(tmp_path: Path, a_stack: Stack) -> None:
    clock = FakeClock()
    with Stop() as stop:
        handover = a_handover(tmp_path, a_stack, clock, stop, io.StringIO())
        mine, other = (Peers(handover, PLAN, uid, 1) for uid in ("pod-a.warm", "pod-b.warm"))
        other.announce()
        mine.announce()
        left, began = list(PLAN), clock.monotonic()
        while left and clock.monotonic() < began + 10 * STALLED_SECONDS:
            clock.sleep(1.0)
            seconds = int(clock.monotonic() - began)
            put(tmp_path, a_stack, row(m=seconds, n=4096, k=4096, index=seconds), origin="pod-b.warm")
            mine.refresh()
            found = mine.pick(left)
            left = [problem for problem in left if problem != found]
    assert left == []
    assert clock.monotonic() - began <= len(PLAN) + STALLED_SECONDS + MORE_SECONDS


@pytest.mark.parametrize("lost", ["refused", "removed"])
def test_a_pod_whose_name_is_not_there_is_seen_later(tmp_path: Path, a_stack: Stack, lost: str) -> None:
    clock = FakeClock()
    with Stop() as stop:
        handover = a_handover(tmp_path, a_stack, clock, stop, io.StringIO())
        volume = FaultyVolume(failing("create", 1, errno.EIO)) if lost == "refused" else Volume()
        mine = Peers(handover._replace(volume=volume), PLAN, "pod-a.warm", 1)
        other = Peers(handover, PLAN, "pod-b.warm", 1)
        for each in (mine, other):
            each.announce()
        (tmp_path / "v1" / a_stack.key / "pods/pod-a.warm").unlink(missing_ok=True)
        for each in (mine, other, mine, other):
            clock.sleep(REFRESH_SECONDS)
            assert each.refresh()
        shares = [{each.pick([problem]) for problem in PLAN} - {None} for each in (mine, other)]
        assert all(shares)
        assert shares[0].isdisjoint(shares[1])


class Waits(Stop):
    """Waits on the clock of a test, for so many seconds in all."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._until = clock.now + seconds

    def wait(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self.requested = self._clock.now >= self._until


def test_a_pod_that_waits_for_others_says_that_it_lives(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = FakeClock(), io.StringIO()
    with Waits(clock, 60.0) as stop:
        handover = a_handover(tmp_path, a_stack, clock, stop, said)
        others = Peers(handover, PLAN, "pod-a.warm", 1)
        publisher = Publisher(Volume(), clock, str(tmp_path), a_stack)
        queue = PublishQueue(publisher, clock, Shard(a_stack.key, "pod-a.warm", 0), handover.log)
        tuner = SharingTuner(handover, ("0",), queue, others)
        visit = Visit(Job(PLAN[0], bias=False, seconds=1.0), key_of(PLAN[0]))
        monkeypatch.setattr(others, "pick", lambda _left: None)  # all of it is with others
        tuner._visit_all([visit])
    assert len(said.getvalue().splitlines()) >= 60.0 // LIFE_SECONDS
