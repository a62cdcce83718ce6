"""Sizes between the planned ones: each is padded to the next planned one or left to the heuristic, as was measured."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hipbmm_kernel.dispatch.bands import Band, Timed, choose, gaps, samples, top_of, with_padding
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.planner import tokens
from hipbmm_kernel.planner.server_flags import ServerFlags

N, K = 256, 512
sizes = st.sets(st.integers(1, 512), min_size=1, max_size=40)


def planned(*sizes_of: int, n: int = N, bias: bool = False) -> list[Entry]:
    return [Entry(m, n, K, bias, 1000 + m, m) for m in sizes_of]


@given(sizes)
def test_every_size_up_to_the_largest_is_planned_or_a_gap_with_the_index_of_the_next(some: set[int]) -> None:
    found = {gap.m: gap for gap in gaps(planned(*some))}
    assert found.keys() | some == set(range(1, max(some) + 1))
    assert not found.keys() & some
    for m, gap in found.items():
        following = min(size for size in some if size > m)
        assert (gap.padded_m, gap.solution) == (following, 1000 + following)


@given(sizes)
def test_each_band_with_a_gap_is_measured_at_one_or_two_sizes(some: set[int]) -> None:
    entries = planned(*some)
    counted = Counter(top_of(sample.m) for sample in samples(entries))
    assert counted.keys() == {top_of(gap.m) for gap in gaps(entries)}
    assert set(counted.values()) <= {1, 2}
    assert set(samples(entries)) <= set(gaps(entries))


def test_the_plan_of_a_large_model_needs_few_measurements() -> None:
    grid = tokens.plan(ServerFlags()).planned
    entries = [entry for n in (1, 2, 3, 4) for entry in planned(*grid, n=256 * n)]
    assert len(entries) == 204
    assert len(samples(entries)) <= 80
    assert len(set(gaps(entries))) == 4 * 512 - 204


def test_linears_do_not_mix() -> None:
    entries = [*planned(1, 4), *planned(2, 8, bias=True), *planned(16, n=512)]
    assert {(gap.n, gap.bias, gap.padded_m) for gap in gaps(entries)} == {
        (N, False, 4), (N, True, 2), (N, True, 8), (512, False, 16)
    }  # fmt: skip


def test_padding_pays_unless_it_is_clearly_slower_over_the_band() -> None:
    measured = [
        Timed(5, N, K, False, 10.0, 9.0), Timed(6, N, K, False, 10.0, 12.0),
        Timed(9, N, K, False, 10.4, 10.0),
        Timed(17, N, K, False, 10.6, 10.0),
    ]  # fmt: skip
    assert choose(measured) == (
        Band(N, K, False, 8, True), Band(N, K, False, 16, True), Band(N, K, False, 32, False)
    )  # fmt: skip


def test_what_was_not_measured_or_does_not_pay_is_no_entry() -> None:
    exact = planned(1, 8, 16)
    found = with_padding(exact, [Band(N, K, False, 8, True), Band(N, K, False, 4, False), Band(N, K, True, 16, True)])
    assert found == (*exact, *(Entry(m, N, K, False, 1008, 8) for m in (5, 6, 7)))
    assert with_padding(exact, ()) == tuple(exact)
