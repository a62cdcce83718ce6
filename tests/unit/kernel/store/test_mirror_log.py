"""What `warm` writes into its log for the mirror: the same bytes in every pod, only what is new, never less."""

from __future__ import annotations

import base64
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel import strategies
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import mirror_log, shard, table
from hipbmm_kernel.store.shard import Shard

pytestmark = pytest.mark.timeout(600)

Held = list[tuple[str, Shard]]


def row(m: int, index: int = 7, tuned: float | None = 9.0) -> Row:
    return Row(gemm.key_of(Problem(m, 512, 256)), index, "Cijk", tuned, 10.0, verified=True)


def of(*shards: Shard) -> Held:
    return [(shard.name_of(shard.encode(each)), each) for each in shards]


def rows_shard(*rows: Row, retuned: str = "", origin: str = "pod.warm") -> Shard:
    return Shard(KEY, origin, 1, token=shard.token_digest(retuned), rows=rows)


def unmirrored(*held: Shard, final: table.Table, retuned: str = "") -> list[Shard]:
    return [shard.decode(data) for data in mirror_log.unmirrored(final, of(*held), (), KEY, retuned)]


def test_an_empty_mirror_gets_the_whole_table_and_then_nothing_more() -> None:
    final = table.merge([rows_shard(row(1), row(2))])
    (first,) = unmirrored(final=final)
    assert (first.origin, first.kind, first.inputs) == (mirror_log.ORIGIN, shard.ROWS, ())
    assert first.rows == (row(1), row(2))
    assert unmirrored(first, final=final) == []


def test_two_pods_with_the_same_table_write_the_same_bytes() -> None:
    one = table.merge([rows_shard(row(1), origin="a.warm"), rows_shard(row(2), origin="b.warm")])
    other = table.merge([rows_shard(row(2), row(1), origin="c.harvest")])
    assert mirror_log.unmirrored(one, [], (), KEY) == mirror_log.unmirrored(other, [], (), KEY)


def test_a_shard_of_the_log_takes_the_place_of_all_that_the_mirror_held() -> None:
    held = (rows_shard(row(1)), rows_shard(row(2), origin="b.harvest"))
    (merged,) = unmirrored(*held, final=table.merge([*held, rows_shard(row(3))]))
    assert merged.rows == (row(1), row(2), row(3))
    assert merged.inputs == tuple(sorted(name for name, _ in of(*held)))


def test_many_shards_are_merged_even_without_news() -> None:
    held = (rows_shard(row(1)), rows_shard(row(2), origin="b.harvest"))
    (merged,) = unmirrored(*held, final=table.merge(held))
    assert merged.rows == (row(1), row(2))


def test_a_better_row_is_news() -> None:
    slow, fast = rows_shard(row(1, 7, 9.0)), rows_shard(row(1, 8, 5.0), origin="b.warm")
    (merged,) = unmirrored(slow, final=table.merge([slow, fast]))
    assert merged.rows == (row(1, 8, 5.0),)


def test_another_retune_token_replaces_the_rows_of_the_former_one() -> None:
    old, new = rows_shard(row(1), retuned="a"), rows_shard(row(1, 9), retuned="b")
    (made,) = unmirrored(old, final=table.merge([old, new], "b"), retuned="b")
    assert (made.rows, made.token) == ((row(1, 9),), shard.token_digest("b"))
    assert made.inputs == tuple(name for name, _ in of(old))


def test_vetoes_are_a_shard_of_their_own() -> None:
    veto = Veto(row(1).key, 7, "wrong result", "0123456789ab")
    final = table.merge([rows_shard(row(2)), shard.Shard(KEY, "pod.warm", 1, shard.VETOES, vetoes=(veto,))])
    rows, vetoes = unmirrored(final=final)
    assert (rows.kind, vetoes.kind, vetoes.vetoes) == (shard.ROWS, shard.VETOES, (veto,))
    assert unmirrored(rows, vetoes, final=final) == []


def test_a_table_that_is_too_large_keeps_the_rows_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_log, "MAX_LINES", 3)
    final = table.merge([rows_shard(*(row(m) for m in range(1, 6)))])
    (data,) = mirror_log.unmirrored(final, [], [row(5).key, row(4).key], KEY)
    assert [each.problem.m for each in shard.decode(data).rows] == [1, 4, 5]
    assert mirror_log.unmirrored(final, of(shard.decode(data)), [row(5).key, row(4).key], KEY) == []


@settings(max_examples=300)
@given(st.lists(strategies.shards, max_size=4), st.lists(strategies.shards, max_size=4))
def test_a_mirror_with_the_news_serves_what_the_pod_serves(held: list[Shard], more: list[Shard]) -> None:
    final = table.merge([*held, *more])
    made = unmirrored(*held, final=final)
    replaced = {name for each in made for name in each.inputs}
    left = [each for name, each in of(*held) if name not in replaced]
    after = table.merge([*left, *made])
    assert after.winners() == final.winners()
    assert dict(after.vetoes).keys() == dict(final.vetoes).keys()
    assert unmirrored(*left, *made, final=after) == []


@pytest.mark.parametrize("count", [1, 500])
def test_the_lines_of_a_log_give_the_shard_back(count: int) -> None:
    data = shard.encode(rows_shard(*(row(m, index=m * 7919, tuned=m * 1.37) for m in range(1, count + 1))))
    lines = mirror_log.log_lines(data)
    words = [line.split(" ") for line in lines]
    assert {(mark, name) for mark, name, _, _ in words} == {(mirror_log.MARK, shard.name_of(data))}
    assert [at for _, _, at, _ in words] == [f"{at}/{len(lines)}" for at in range(1, len(lines) + 1)]
    assert max(map(len, lines)) < 4500
    assert gzip.decompress(b"".join(base64.b64decode(piece) for *_, piece in words)) == data
