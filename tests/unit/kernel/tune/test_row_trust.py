"""A time that no device can reach is no claim."""

import pytest

from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows.gemm import FNUZ, Problem, Row, Veto, key_of
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.tune.row_trust import believable, mirrored, published

PROBLEM = Problem(1, 10240, 8192)
KEY = key_of(PROBLEM)


def table(*rows: Row) -> Table:
    return Table({KEY: rows}, {}, {})


def test_an_impossible_time_is_taken_from_a_row_and_its_verification_with_it() -> None:
    honest, forged = Row(KEY, 5, "a", 17.4, 18.0, verified=True), Row(KEY, 6, "b", 0.001, 18.0, verified=True)
    found = believable(table(honest, forged), [PROBLEM], FNUZ, "MI300X")
    assert found.rows[KEY] == (honest, Row(KEY, 6, "b"))
    assert found.best(KEY) == honest


def test_possible_times_change_nothing() -> None:
    given = table(Row(KEY, 5, "a", 17.4, 18.0, verified=True), Row(KEY, 6, "b"))
    assert believable(given, [PROBLEM], FNUZ, "MI300X") is given
    assert believable(given, [Problem(2, 64, 64)], FNUZ, None) is given


@pytest.mark.parametrize(
    ("problem", "us"),
    # Measured: AITER's own table for gfx950 with 256 CUs (bpreshuffle), and hipb_mm on an MI300X (aiter #1258).
    [((1, 51200, 5120), 44.5), ((512, 51200, 5120), 154.5), ((1, 8192, 1024), 4.4), ((512, 8192, 1024), 11.3)],
)
def test_what_was_measured_is_possible(problem: tuple[int, int, int], us: float) -> None:
    assert cost.least_us(Problem(*problem), "MI355X") < us
    assert cost.least_us(Problem(*problem), "MI355X") > us / 40


VERIFIED = Row(KEY, 5, "a", 17.4, 18.0, verified=True)


def test_a_row_is_published_as_verified_only_where_its_linear_is_proven() -> None:
    veto = Veto(KEY, 5, "wrong")
    assert (published(VERIFIED, {PROBLEM[1:]}), published(veto, set())) == (VERIFIED, veto)
    assert published(VERIFIED, {(64, 64)}) == VERIFIED._replace(verified=False)


def test_a_mirror_gets_the_same() -> None:
    other = key_of(Problem(1, 64, 64))
    given = Table({KEY: (VERIFIED,), other: (VERIFIED._replace(key=other),)}, {}, {})
    found = mirrored(given, {PROBLEM[1:]})
    assert found.rows == {**given.rows, KEY: (VERIFIED._replace(verified=False),)}
    assert mirrored(given, set()) is given
