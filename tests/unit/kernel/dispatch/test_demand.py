"""Demand in a store: a join of the counts of pods, from files that may be damaged, of pods that may be gone."""

import os
import time
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_kernel.dispatch import demand
from hipbmm_kernel.dispatch.demand_lines import MAX_DEMAND, Demand, read_demand
from hipbmm_kernel.planner.plan import Plan, PlannedLinear
from hipbmm_kernel.pod.dispatch_decision import MIN_CALLS, demanded
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.volume import Volume

_SOME = 8
KEY = "9f2c0a1b2c3d4e5f"
problems = st.tuples(st.integers(1, 512), st.just(256), st.just(512), st.booleans())
counts = st.dictionaries(problems, st.integers(1, 1 << 40), max_size=20)


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "store/v1" / KEY).mkdir(parents=True)
    return str(tmp_path / "store")


def files(store: str) -> list[str]:
    return sorted(path.name for path in Path(store, "v1", KEY, "demand").iterdir())


def publish(store: str, origin: str, **calls: int) -> None:
    """`m7=3`: three calls of M 7."""
    found = [Demand(int(name[1:]), 256, 512, False, count) for name, count in calls.items()]
    demand.publish(Volume(), store, KEY, origin, found)


def read(store: str) -> dict[int, int]:
    return {item.m: item.calls for item in demand.read(Volume(), [store], KEY, [])}


@pytest.mark.parametrize("line", ["", ",", "1,1,1,0,1", "1" * 4000 + ",1,1,0,1"])
def test_large_files_of_many_origins_are_read_in_part(store: str, line: str) -> None:
    """What 256 of them hold would cost 2 s of processor time on a fast machine, many times that of a start."""
    publish(store, "pod-a", m7=3)
    text = ("m,n,k,bias,calls\n" + f"{line}\n" * (demand.MAX_BYTES // (len(line) + 1)))[: demand.MAX_BYTES - 100]
    body = text.encode()
    data = body + f"#sha256={sha256(body)}\n".encode()
    for number in range(demand.MAX_FILES):
        Path(store, "v1", KEY, f"demand/0bad{number}.1.0123456789ab.csv").write_bytes(data)
        os.utime(Path(store, "v1", KEY, f"demand/0bad{number}.1.0123456789ab.csv"), (1.0, 1.0))
    began = time.process_time()
    for _ in range(_SOME):
        read_demand(text)
    every = (time.process_time() - began) / _SOME * demand.MAX_FILES
    began = time.process_time()
    assert read(store)[7] == 3
    assert time.process_time() - began < every / 2


@given(counts)
def test_what_is_written_is_read_back(found: dict[tuple[int, int, int, bool], int]) -> None:
    listed = [Demand(*problem, calls) for problem, calls in found.items()]
    assert read_demand(demand.whole(demand.encode(listed))) == listed


def test_a_file_that_is_cut_or_changed_asks_for_nothing() -> None:
    whole = demand.encode([Demand(7, 256, 512, False, 3), Demand(9, 256, 512, True, 2)])
    for length in range(len(whole)):
        assert read_demand(demand.whole(whole[:length])) == []
        assert read_demand(demand.whole(whole[:length] + bytes([whole[length] ^ 1]) + whole[length + 1 :])) == []


def test_counts_of_a_pod_join_by_the_greatest_and_those_of_pods_add_up(store: str) -> None:
    assert read(store) == {}
    publish(store, "pod-a", m7=3, m9=5)
    publish(store, "pod-b", m7=10)
    publish(store, "pod-a", m7=4, m9=5)
    assert read(store) == {7: 14, 9: 5}
    assert [name.rsplit(".", 2)[0] for name in files(store)] == ["pod-a.2", "pod-b.1"]


def test_files_join_alike_in_any_order_and_twice(store: str) -> None:
    folder = Path(store, "v1", KEY, "demand")
    folder.mkdir()
    texts = [demand.encode([Demand(7, 256, 512, False, calls)]) for calls in (3, 9, 5)]
    for order in permutations(range(3)):
        for number, at in enumerate(order):
            (folder / f"pod-a.{number}.{'0' * 12}.csv").write_bytes(texts[at])
        assert read(store) == {7: 9}


def test_damaged_and_foreign_files_cost_only_themselves(store: str) -> None:
    publish(store, "pod-a", m7=3)
    folder = Path(store, "v1", KEY, "demand")
    (folder / f"pod-b.1.{'0' * 12}.csv").write_bytes(b"\0" * 100)
    (folder / f"pod-c.1.{'0' * 12}.csv").symlink_to("/dev/zero")
    (folder / f"pod-d.1.{'0' * 12}.csv").mkdir()
    (folder / "notes.txt").write_text("x")
    assert read(store) == {7: 3}


def test_a_pod_that_is_long_gone_is_forgotten(store: str) -> None:
    publish(store, "gone", m7=3)
    (name,) = files(store)
    old = Path(store, "v1", KEY, "demand", name)
    os.utime(old, (0, old.stat().st_mtime - demand.KEPT_SECONDS - 1))
    publish(store, "pod-a", m9=1)
    assert read(store) == {9: 1}


def test_a_file_of_a_clock_that_was_ahead_takes_no_other_with_it(store: str) -> None:
    publish(store, "ahead", m7=3)
    (ahead,) = Path(store, "v1", KEY, "demand").iterdir()
    os.utime(ahead, (0, ahead.stat().st_mtime + 3 * demand.KEPT_SECONDS))
    publish(store, "pod-a", m8=2)
    publish(store, "pod-b", m9=1)
    assert read(store) == {8: 2, 9: 1}


def test_a_clock_that_is_behind_takes_no_file_of_another_with_it(store: str) -> None:
    """The times are those of the node on some volumes, and a node without a clock begins years ago."""

    class Behind(Volume):
        def stat_name(self, name: str, at: int, follow: bool = False) -> os.stat_result:
            if name.startswith("behind."):
                os.utime(name, (0, 0), dir_fd=at)
            return super().stat_name(name, at, follow)

    publish(store, "pod-a", m8=2)
    publish(store, "pod-b", m9=1)
    demand.publish(Behind(), store, KEY, "behind", [Demand(7, 256, 512, False, 3)])
    assert read(store) == {7: 3, 8: 2, 9: 1}


def test_what_another_pod_removes_at_the_same_time_costs_nothing(store: str) -> None:
    class Late(Volume):
        def remove(self, path: str, at: int | None = None) -> None:
            super().remove(path, at)
            super().remove(path, at)

    for count in range(1, 4):
        demand.publish(Late(), store, KEY, "pod-a", [Demand(7, 256, 512, False, count)])
    assert [name.rsplit(".", 2)[0] for name in files(store)] == ["pod-a.3"]


def test_a_file_is_bounded() -> None:
    many = [Demand(1 + at % 512, 256 + at, 512, False, 1 << 60) for at in range(2 * MAX_DEMAND)]
    assert len(demand.encode(many)) < demand.MAX_BYTES
    assert len(read_demand(demand.whole(demand.encode(many)))) == MAX_DEMAND


def test_a_store_of_many_problems_is_read_in_part_and_hides_no_pod(store: str) -> None:
    publish(store, "pod-a", m7=3)
    folder = Path(store, "v1", KEY, "demand")
    different = demand.MAX_LINES // MAX_DEMAND + 8  # more than are read
    files = [
        demand.encode(Demand(1 + at % 512, 16 * number, 16 * (1 + at // 512), False, 9) for at in range(MAX_DEMAND))
        for number in range(1, 1 + different)
    ]
    for number in range(1, demand.MAX_FILES + 2):
        (folder / f"pod-b.{number}.{'0' * 12}.csv").write_bytes(files[number % different])
    found = demand.read(Volume(), [store], KEY, [])
    assert Demand(7, 256, 512, False, 3) in found
    assert MAX_DEMAND < len(found) <= demand.MAX_LINES


PLAN = Plan("", "Explicit", linears=(PlannedLinear(Linear(256, 512)),), problems=(Problem(1, 256, 512),))


@pytest.mark.parametrize(
    "item",
    [
        Demand(1, 256, 512, False, 10**6),
        Demand(7, 256, 512, False, MIN_CALLS - 1),
        Demand(600, 256, 512, False, 10**6),
        Demand(7, 256, 512, True, 10**6),
        Demand(7, 512, 256, False, 10**6),
    ],
    ids=["planned", "rare", "above AITER's limit", "with another bias", "of another linear"],
)
def test_not_everything_that_was_asked_for_is_tuned(item: Demand) -> None:
    assert demanded([item], PLAN, 1800.0, "MI300X") == []


def test_the_hottest_are_tuned_as_far_as_the_share_of_the_budget_goes() -> None:
    asked = [Demand(m, 256, 512, False, 10**6 - m) for m in range(2, 500)]
    everything = demanded(asked, PLAN, 1e9, "MI300X")
    assert everything == [Problem(m, 256, 512) for m in range(2, 500)]
    some = demanded(asked, PLAN, 2.0, "MI300X")
    assert some == everything[: len(some)]
    assert 0 < len(some) < len(everything)
