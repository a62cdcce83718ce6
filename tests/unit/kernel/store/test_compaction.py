"""Compaction never changes a table, at no step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel import strategies
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.store import compaction, shard, table

pytestmark = pytest.mark.timeout(300)  # a thousand examples each, on a machine that may be shared


named_shards = st.lists(strategies.shards, max_size=5).map(
    lambda found: {shard.name_of(shard.encode(each)): each for each in found}
)


def stored(made: list[shard.Shard]) -> dict[str, shard.Shard]:
    """What a store holds of them, names and contents, after a write and a read."""
    texts = [shard.encode(each) for each in made]
    return {shard.name_of(data): shard.decode(data) for data in texts}


@settings(max_examples=1000, deadline=None)
@given(named_shards)
def test_the_table_is_the_same_before_with_and_after(named: dict[str, shard.Shard]) -> None:
    before = table.merge(named.values())

    made = stored(compaction.compact(KEY, named, "pod.1", 100))
    together = {**named, **made}
    gone = compaction.removable(together)
    after = {name: each for name, each in together.items() if name not in gone}

    assert table.merge(together.values()) == before
    assert table.merge(after.values()) == before
    assert set(gone) <= set(named)
    for each in (shard.ANY_TOKEN, "0" * 12):
        of_token = [one for one in named.values() if one.token == each]
        assert table.merge(of_token) == table.merge(one for one in after.values() if one.token == each)


@settings(max_examples=200, deadline=None)
@given(named_shards)
def test_everything_but_singles_is_compacted_away(named: dict[str, shard.Shard]) -> None:
    made = stored(compaction.compact(KEY, named, "pod.1", 100))
    left = set(named) - set(compaction.removable({**named, **made}))

    groups = [(named[name].kind, named[name].token) for name in left]
    assert len(groups) == len(set(groups))


def test_a_shard_that_claims_an_input_it_does_not_contain_removes_nothing() -> None:
    one = next(each for each in strategies.POOL_SHARDS if each.rows)
    name = shard.name_of(shard.encode(one))
    liar = one._replace(rows=(), inputs=(name,))

    assert compaction.removable({name: one, "liar": liar}) == []


def test_names_and_numbers_of_compactions() -> None:
    rows = [each for each in strategies.POOL_SHARDS if each.rows][:3]
    named = {shard.name_of(shard.encode(each)): each for each in rows}

    made = compaction.compact(KEY, named, "pod.1", 41)

    assert [each.seq for each in made] == list(range(41, 41 + len(made)))
    for each in made:
        assert set(each.inputs) <= set(named)
        assert each.origin == "pod.1"


def test_what_would_be_too_large_is_left_for_the_next_time() -> None:
    rows = [each for each in strategies.POOL_SHARDS if each.rows and each.token == shard.ANY_TOKEN][:9]
    named = {shard.name_of(shard.encode(each)): each for each in rows}
    most = sum(len(each.rows) for each in rows) - 1

    chosen = compaction._fitting(named, sorted(named), most)

    assert 0 < len(chosen) < len(named)
    assert sum(len(named[name].rows) for name in chosen) <= most
