"""Progress lines that a machine reads: few, and each one true."""

import io
import itertools
import re

from tests.kernel.faults import FakeClock

from hipbmm_kernel.contract.progress import Progress


def test_progress_says_changes_at_most_every_two_seconds_and_the_ends() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = Progress(stream, clock)
    progress.start()
    progress.phase("Planning")
    progress.phase("Loading")
    clock.now += 2.5
    progress.plan(204, 4)
    progress.phase("Tuning")
    for _ in range(40):
        clock.now += 0.25
        progress.tuned()
    progress.failed()
    progress.done(44, 1)
    lines = stream.getvalue().splitlines()
    pattern = r"hipbmm progress phase=\w+ tuned=\d+ problems=\d+ failed=\d+ verified=\d+ elapsed_s=\d+ eta_s=\d+"
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert lines[0] == "hipbmm progress phase=Identity tuned=0 problems=0 failed=0 verified=0 elapsed_s=0 eta_s=0"
    assert lines[-1].startswith("hipbmm progress phase=Done tuned=44 problems=204 failed=1 ")
    elapsed = [int(line.split("elapsed_s=")[1].split()[0]) for line in lines[:-1]]
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(elapsed[1:]))
    assert "tuned=12 problems=204 failed=0 verified=0 elapsed_s=4 eta_s=48" in stream.getvalue()


def test_without_a_change_a_line_each_15_seconds_says_that_warm_lives() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = Progress(stream, clock)
    progress.start()
    progress.plan(204, 204, 204)
    clock.now += 3
    progress.phase("Checking")
    for _ in range(47):
        clock.now += 1
        progress.tick()
    lines = stream.getvalue().splitlines()
    assert [int(line.split("elapsed_s=")[1].split()[0]) for line in lines] == [0, 3, 18, 33, 48]
    assert len({line.split("elapsed_s=")[0] for line in lines[1:]}) == 1


def test_progress_counts_what_verification_finds() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = Progress(stream, clock)
    progress.plan(204, 204, 100)
    progress.phase("Tuning")
    for _ in range(4):
        clock.now += 1
        progress.verified()
    assert "phase=Tuning tuned=204 problems=204 failed=0 verified=104 elapsed_s=4 eta_s=0" in stream.getvalue()
    clock.now += 2
    progress.refuted()
    assert "phase=Tuning tuned=203 problems=204 failed=1 verified=104 elapsed_s=6" in stream.getvalue()


def test_where_nothing_is_verified_no_line_counts_it() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = Progress(stream, clock)
    progress.plan(204, 203, None)
    progress.phase("Tuning")
    clock.now += 4
    progress.verified()
    clock.now += 4
    progress.tuned()
    said = stream.getvalue().splitlines()[-1]
    assert said == "hipbmm progress phase=Tuning tuned=204 problems=204 failed=0 elapsed_s=8 eta_s=0"
