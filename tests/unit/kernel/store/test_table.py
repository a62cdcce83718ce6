"""The table is a join of shards: order, grouping and repetition of the inputs never matter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel import aiter_reader, strategies
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard, table

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


MANY = settings(max_examples=1000)
PROBLEM = Problem(1, 10240, 5120)
ROW_KEY = gemm.key_of(PROBLEM)
some_shards = st.lists(strategies.shards, max_size=4)


def rows_shard(*rows: Row, retuned: str = "") -> shard.Shard:
    return shard.Shard(KEY, "pod.0", 0, shard.ROWS, shard.token_digest(retuned), rows=rows)


def veto_shard(*vetoes: Veto, retuned: str = "") -> shard.Shard:
    return shard.Shard(KEY, "pod.0", 0, shard.VETOES, shard.token_digest(retuned), vetoes=vetoes)


def row(index: int, tuned: float | None = None, *, verified: bool = False, name: str = "-") -> Row:
    return Row(ROW_KEY, index, name, tuned, None, verified)


def best(*shards: shard.Shard) -> int | None:
    found = table.merge(shards).best(ROW_KEY)
    return None if found is None else found.algo_index


@MANY
@given(some_shards.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_merging_is_commutative(pair: tuple[list[shard.Shard], list[shard.Shard]]) -> None:
    shards, shuffled = pair

    assert table.merge(shuffled) == table.merge(shards)


def test_the_reason_of_a_veto_is_one_that_is_kept() -> None:
    def claims(*nodes: str, reason: str) -> shard.Shard:
        return veto_shard(*(Veto(ROW_KEY, 1, reason, node) for node in nodes))

    last, others = claims("f" * 12, reason="crashed"), claims(*(str(n) * 12 for n in range(4)), reason="hung")
    whole = table.merge([last, others])

    assert whole.vetoes == {(ROW_KEY, 1): "hung"}
    assert table.union([table.merge([last]), table.merge([others])]) == whole


@MANY
@given(some_shards, some_shards, some_shards)
def test_merging_is_associative(a: list[shard.Shard], b: list[shard.Shard], c: list[shard.Shard]) -> None:
    left = table.union([table.union([table.merge(a), table.merge(b)]), table.merge(c)])
    right = table.union([table.merge(a), table.union([table.merge(b), table.merge(c)])])

    assert left == right == table.merge([*a, *b, *c])


@MANY
@given(some_shards)
def test_merging_is_idempotent(shards: list[shard.Shard]) -> None:
    once = table.merge(shards)

    assert table.merge([*shards, *shards]) == once
    assert table.union([once, once, table.EMPTY]) == once


@MANY
@given(some_shards, some_shards)
def test_more_shards_never_lose_a_row_but_to_a_veto(old: list[shard.Shard], new: list[shard.Shard]) -> None:
    before, after = table.merge(old), table.merge([*old, *new])

    for row_key, of_key in before.rows.items():
        assert {each.algo_index for each in of_key} <= {each.algo_index for each in after.rows[row_key]}
    assert before.vetoes.keys() <= after.vetoes.keys()


@MANY
@given(some_shards)
def test_a_vetoed_index_is_never_served(shards: list[shard.Shard]) -> None:
    merged = table.merge(shards)

    for winner in merged.winners():
        assert (winner.key, winner.algo_index) not in merged.vetoes


def test_verified_before_faster_before_unmeasured() -> None:
    assert best(rows_shard(row(1, 5.0), row(2, 9.0, verified=True))) == 2
    assert best(rows_shard(row(1, 5.0, verified=True), row(2, 9.0, verified=True))) == 1
    assert best(rows_shard(row(1), row(2, 9.0))) == 2
    assert best(rows_shard(row(1), row(2, verified=True))) == 2


def test_equal_measurements_are_decided_by_the_line_alone() -> None:
    winners = {best(rows_shard(*pair)) for pair in ((row(1, 5.0), row(2, 5.0)), (row(2, 5.0), row(1, 5.0)))}

    assert len(winners) == 1


def test_a_late_veto_uncovers_the_second_best() -> None:
    good = rows_shard(row(1, 5.0, verified=True), row(2, 9.0))
    veto = veto_shard(Veto(ROW_KEY, 1, "wrong result"))

    assert best(good) == 1
    assert best(good, veto) == best(veto, good) == 2
    assert best(veto, rows_shard(row(1, 1.0, verified=True))) is None


NODES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")


def seen_from(node: str | None, *vetoes: Veto) -> int | None:
    """The index that a node serves of two, the better of which somebody vetoes."""
    shards = [rows_shard(row(1, 5.0, verified=True), row(2, 9.0)), *(veto_shard(veto) for veto in vetoes)]
    found = table.merge(shards, node=node).best(ROW_KEY)
    return None if found is None else found.algo_index


def test_a_veto_binds_its_own_node_and_the_others_once_a_second_one_says_the_same() -> None:
    first, second = (Veto(ROW_KEY, 1, "wrong result", node) for node in NODES[:2])

    assert seen_from(NODES[0], first) == 2
    assert seen_from(NODES[1], first) == seen_from("", first) == 1
    assert seen_from(NODES[0], first, first._replace(reason="hung")) == 2
    assert seen_from(NODES[1], first, first._replace(reason="hung")) == 1, "one node saying it twice is one node"
    assert seen_from(NODES[2], first, second) == seen_from("", first, second) == 2


def test_a_sick_node_takes_no_problem_from_the_others() -> None:
    ended = Veto(ROW_KEY, 0, "hung twice", NODES[0])

    assert table.merge([veto_shard(ended)], node=NODES[0]).hopeless(ROW_KEY)
    assert not table.merge([veto_shard(ended)], node=NODES[1]).hopeless(ROW_KEY)
    both = [veto_shard(ended), veto_shard(ended._replace(node=NODES[1]))]
    assert table.merge(both, node=NODES[2]).hopeless(ROW_KEY)


def test_vetoes_that_name_no_node_are_confirmed_by_none() -> None:
    """Those of programs that wrote no node yet; two of them may be of one machine."""
    nameless = Veto(ROW_KEY, 1, "wrong result")

    assert seen_from(NODES[0], nameless, nameless._replace(reason="hung")) == 1
    assert seen_from(NODES[0], nameless, nameless._replace(node=NODES[1])) == 1
    assert seen_from(None, nameless) == 2, "in the process that made it, it binds"


def test_a_shards_node_is_that_of_its_vetoes_in_the_store() -> None:
    made = veto_shard(Veto(ROW_KEY, 1, "wrong result"))._replace(node=NODES[0])
    stored = shard.decode(shard.encode(made))

    assert [veto.node for veto in stored.vetoes] == [NODES[0]]
    assert table.merge([made]).claims == table.merge([stored]).claims


def test_of_many_nodes_few_are_kept_and_order_does_not_matter() -> None:
    vetoes = [veto_shard(Veto(ROW_KEY, 1, "wrong", f"{at:012x}")) for at in range(50)]

    assert table.merge(vetoes) == table.merge(reversed(vetoes))
    assert len(table.merge(vetoes).claims[ROW_KEY, 1]) == table.MAX_CLAIMS


@pytest.mark.parametrize("count", [table.FEW + 1, table.MAX_INDICES, table.MAX_INDICES + 1, 5 * table.BATCH])
def test_of_many_indices_the_best_are_kept_whatever_the_order(count: int) -> None:
    rng = random.Random(count)
    rows = [row(1 + at, float(1 + at % 97), verified=bool(at % 3)) for at in range(count)]
    shuffled = rng.sample(rows, count)
    parts = [rows_shard(*shuffled[at : at + 50]) for at in range(0, count, 50)]

    whole = table.merge([rows_shard(*rows)])
    assert table.merge(parts) == whole
    assert table.union([table.merge([part]) for part in parts]) == whole
    (kept,) = whole.rows.values()
    assert len(kept) == min(count, table.MAX_INDICES)
    assert [each.algo_index for each in kept] == sorted(each.algo_index for each in kept)
    found = whole.best(ROW_KEY)
    assert found is not None
    assert not any(table.better(each, found) for each in rows)


def test_a_veto_of_the_problem_stops_tuning_but_not_a_row_that_somebody_found() -> None:
    merged = table.merge([veto_shard(Veto(ROW_KEY, 0, "hung twice"))])

    assert merged.hopeless(ROW_KEY)
    assert best(veto_shard(Veto(ROW_KEY, 0, "hung twice")), rows_shard(row(7, 5.0, verified=True))) == 7


def test_a_retune_token_leaves_older_rows_and_vetoes_aside() -> None:
    old = [rows_shard(row(1, 5.0)), veto_shard(Veto(ROW_KEY, 2, "wrong result"), retuned="first")]
    new = rows_shard(row(2, 9.0), retuned="again")
    merged = table.merge([*old, new], "again")

    assert [each.algo_index for each in merged.rows[ROW_KEY]] == [2]
    assert merged.vetoes == {}
    assert [each.algo_index for each in table.merge([*old, new]).rows[ROW_KEY]] == [1, 2]


def test_missing_keeps_the_order_of_the_plan() -> None:
    problems = [Problem(m, 10240, 5120) for m in (4, 1, 2)]
    merged = table.merge([rows_shard(row(1))])

    assert table.missing(merged, problems, gemm.FNUZ) == [problems[0], problems[2]]
    assert table.missing(merged, problems, gemm.OTHER) == problems


def test_the_served_file_answers_every_planned_problem_and_nothing_else() -> None:
    planned = [Problem(m, n, 5120) for m in (1, 8, 200, 300) for n in (1280, 10240)]
    other = Problem(1, 4096, 4096)
    found = [Row(gemm.key_of(p), 100 + at, "Cijk_x") for at, p in enumerate([*planned, other])]
    merged = table.merge([rows_shard(*found, *(r._replace(algo_index=r.algo_index + 500) for r in found))])

    rows = table.served(merged, planned, gemm.FNUZ, eager=frozenset({200, 300}))
    data = aiter_csv.format_rows(rows)

    assert [r.problem.m for r in rows] == [200, 200, 300, 300, 1, 1, 8, 8]
    assert data.startswith(gemm.HEADER.encode() + b"\n")
    assert data.count(b"preshuffle,") == 1
    assert data.endswith(b",-\n")
    assert b"\r" not in data
    assert b"Cijk" not in data
    answers = aiter_reader.table(data)
    assert len(answers) == len(planned)
    for problem in planned:
        asked = gemm.key_of(problem).split(",")
        numbers = {4, 5, 6, 8, 9, 11, 12, 14, 15, 17}
        as_aiter = tuple(int(text) if at in numbers else text.encode() for at, text in enumerate(asked))
        winner = merged.best(gemm.key_of(problem))
        assert winner is not None
        assert answers[as_aiter] == winner.algo_index


def test_rows_that_production_learned_follow_the_planned_ones() -> None:
    planned, learned, other = Problem(1, 16, 32), Problem(77, 16, 32), Problem(1, 64, 64)
    found = [Row(gemm.key_of(p), 9, "Cijk_x") for p in (planned, learned, other)]
    merged = table.merge([rows_shard(*found, Row(gemm.key_of(learned, gemm.OTHER), 5))])

    of_plan = table.learned(merged, [planned], gemm.FNUZ, frozenset({(16, 32)}))
    of_all = table.learned(merged, [], gemm.FNUZ, None)

    assert [r.problem for r in of_plan] == [learned]
    assert {r.problem for r in of_all} == {planned, learned, other}
    assert {r.kernel_name for r in of_all} == {"-"}


def test_two_rows_of_one_key_are_not_formatted() -> None:
    with pytest.raises(ValueError, match="two rows"):
        aiter_csv.format_rows([row(1), row(2)])
