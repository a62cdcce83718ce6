"""What the server learns reaches the store once, and whole."""

import errno
import json

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume, failing_always
from tests.kernel.harvest.learning import LEARNED, SERVED, append, harvester, line, names, pairs, stored
from tests.kernel.pods import Pod, row

from hipbmm_kernel.harvest.harvester import Harvester
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.store import shard
from hipbmm_kernel.system.volume import Volume


def test_rows_that_were_served_are_not_published(served: Pod, a_stack: Stack) -> None:
    harvest = harvester(served)
    harvest.turn()
    harvest.finish(60.0)
    assert stored(served, a_stack) == set()
    assert harvest.harvested == 0


def test_learned_rows_reach_the_store_unverified_and_once(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    append(served, line(LEARNED[1]))
    harvest.turn()
    harvest.turn()
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])
    found = [shard.decode(path.read_bytes()) for path in served.store.glob("v1/*/shards/*")]
    assert sorted(each.algo_index for each in sum((one.rows for one in found), ())) == [900, 901]
    assert not any(each.verified for one in found for each in one.rows)
    assert all(one.origin == "pod-a.harvest" for one in found)


@pytest.mark.parametrize("cut", range(1, len(line(LEARNED[0])), 7))
def test_a_torn_line_waits_until_it_is_whole(served: Pod, a_stack: Stack, cut: int) -> None:
    text = line(LEARNED[0])
    append(served, text[:cut])
    harvest = harvester(served)
    harvest.turn()
    assert harvest.harvested == 0
    append(served, text[cut:])
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])
    assert harvest.rejected == {}


def test_a_restarted_sidecar_publishes_nothing_twice_and_loses_nothing(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvester(served).finish(60.0)
    before = names(served)
    append(served, line(LEARNED[1]))
    harvester(served).finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])
    assert len(names(served)) == len(before) + 1
    harvester(served).finish(60.0)
    assert len(names(served)) == len(before) + 1


def test_rows_that_the_volume_refused_are_published_after_a_restart(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    logged: list[str] = []
    refused = harvester(served, OnlyTheStoreFails(failing_always("create", errno.ENOSPC)), logged)
    refused.finish(2.0)
    assert stored(served, a_stack) == set()
    assert any("ENOSPC" in text for text in logged)
    harvester(served).finish(60.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


class OnlyTheStoreFails(FaultyVolume):
    """The pod's own disk works."""

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        return Volume.create(self, path, mode) if at is None else super().create(path, mode, at)


def test_a_replaced_file_is_read_again(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    fresh = served.served_file.with_name("fresh")
    fresh.write_bytes(aiter_csv.format_rows([LEARNED[1]]))
    fresh.rename(served.served_file)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])


def test_a_file_that_is_cut_and_grows_again_loses_nothing(served: Pod, a_stack: Stack) -> None:
    """The same inode, and longer than what was read of it: only the bytes say that it is another file."""
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    size = served.served_file.stat().st_size
    with served.served_file.open("wb") as file:
        file.write(aiter_csv.format_rows([*LEARNED[1:4], *SERVED]))
    assert served.served_file.stat().st_size > size
    append(served, line(LEARNED[4]))
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:5])


def test_a_reused_inode_is_another_file_to_a_sidecar_that_starts_again(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvester(served).finish(60.0)
    with served.served_file.open("wb") as file:
        file.write(aiter_csv.format_rows([*SERVED, *LEARNED[1:6]]))
    harvester(served).finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:6])


def test_one_bad_line_costs_that_line(served: Pod, a_stack: Stack) -> None:
    bad = ("<<<<<<< HEAD", "=======", "\0" * 300, gemm.HEADER.replace(" m, n,", " n, m,"), "{}", "<html>", "\x1b[2J")
    append(served, "".join(f"{text}\n{line(learned)}" for text, learned in zip(bad, LEARNED, strict=False)))
    harvest = harvester(served)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:6])
    assert sum(harvest.rejected.values()) == 6


def test_rows_that_no_plan_names_are_counted(served: Pod) -> None:
    report = json.loads((served.home / "report.json").read_text())
    planned = [{"problem": gemm.label(LEARNED[0].problem), "reason": "vetoed"}]
    (served.home / "report.json").write_text(json.dumps({**report, "failures": planned}))
    append(served, line(LEARNED[0]) + line(LEARNED[1]))
    harvest = harvester(served)
    harvest.finish(60.0)
    assert (harvest.harvested, harvest.unplanned) == (2, 1)


ODD = [
    "",
    "[]",
    "null",
    '{"device": true, "inode": 1, "offset": 1}',
    '{"device": 1, "inode": 1, "offset": 1e3}',
    '{"device": 1, "inode": 1, "offset": -1}',
    '{"device": 1, "inode": 1, "offset": 99999999999999999999999}',
    '{"offset": 1, "inode": "x"}',
    "9" * 5000,
    "[" * 100_000,
    '{"device": NaN, "inode": Infinity, "offset": 1}',
    '{"before": {"x": 1}, "device": 0, "inode": 0, "offset": 0}',
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_memory_of_a_place_means_from_the_beginning(served: Pod, a_stack: Stack, text: str) -> None:
    (served.home / "harvest.json").write_text(text)
    append(served, line(LEARNED[0]))
    harvester(served).finish(60.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


def test_hostile_and_foreign_lines_are_counted_and_never_published(served: Pod, a_stack: Stack) -> None:
    ocp = row(m=3)._replace(key=gemm.key_of(gemm.Problem(3, 256, 512), gemm.OTHER))
    append(served, f"{row().key},-1,KERN\n" + "garbage\n" + line(ocp) + "a,b\n" + line(LEARNED[0]))
    harvest = harvester(served)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])
    assert sum(harvest.rejected.values()) == 4
    assert harvest.rejected["foreign"] == 1
    assert set(harvest.rejected) <= {"foreign", "index", "columns", "name", "hole", "header", "other"}


def test_without_a_known_stack_nothing_is_published(served: Pod) -> None:
    (served.home / "report.json").write_text('{"stackDocument": null}')
    append(served, line(LEARNED[0]))
    harvester(served).finish(1.0)
    assert names(served) == []


def test_rows_of_another_gpu_than_the_stack_says_are_not_published(served: Pod) -> None:
    report = json.loads((served.home / "report.json").read_text())
    (served.home / "report.json").write_text(json.dumps({**report, "state": "Failed", "reason": "StackMismatch"}))
    append(served, line(LEARNED[0]))
    harvester(served).finish(1.0)
    assert names(served) == []


def test_a_report_that_comes_late_is_found(served: Pod, a_stack: Stack) -> None:
    report = (served.home / "report.json").read_text()
    (served.home / "report.json").unlink()
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    (served.home / "report.json").write_text(report)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


def test_a_turn_reads_a_part_of_a_long_file_and_the_last_ones_end_in_time(served: Pod, a_stack: Stack) -> None:
    """Each turn keeps probes waiting, and a pod that is deleted has half a minute."""
    clock, lines = FakeClock(), list[str]()
    harvest = Harvester(served.settings(), Volume(), clock, lines.append)
    append(served, "this is no row\n" * 60_000 + line(LEARNED[0]))
    assert harvest.turn()
    assert sum(harvest.rejected.values()) < 20_000
    harvest.finish(-1.0)
    assert sum(harvest.rejected.values()) < 40_000
    assert clock.slept == []
    harvest.finish(60.0)
    assert harvest.harvested == 1


def test_many_rows_that_lost_their_line_ends_are_learned(served: Pod, a_stack: Stack) -> None:
    learned = [row(m=1 + at % 512, n=8192 + 16 * (at // 512), index=1000 + at) for at in range(3000)]
    append(served, "".join(map(line, learned)).replace("\n", "") + "\n" + line(LEARNED[0]))
    harvest = harvester(served)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*learned, LEARNED[0])
