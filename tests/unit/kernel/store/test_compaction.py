"""Compaction never changes a table, at no step, whatever a shard says about others."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel import strategies
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.rows.gemm import Veto
from hipbmm_kernel.store import compaction, read_order, shard, shard_origin, table
from hipbmm_kernel.store.compaction import Compaction

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared

Store = dict[str, shard.Shard]


def stored(made: list[shard.Shard]) -> Store:
    """What a store holds of them, names and contents, after a write and a read."""
    texts = [shard.encode(each) for each in made]
    return {shard.name_of(data): shard.decode(data) for data in texts}


named_shards = st.lists(strategies.shards, max_size=5).map(stored)


def step(named: Store, old: bool = True, least: int = 1, everything: bool = True) -> Store:
    """The store after one pass."""
    run = Compaction()
    containers = {name for name in named if read_order.is_compaction(name)}
    for name in sorted(containers):
        run.add_container(name, named[name], old)
    gone = set(run.end_containers())
    gone |= {name for name in sorted(named.keys() - containers) if run.add(name, named[name])}
    return {name: each for name, each in {**named, **stored(run.made(least, everything))}.items() if name not in gone}


def forged(one: shard.Shard, inputs: list[str], seq: int) -> tuple[str, shard.Shard]:
    made = one._replace(origin=compaction.ORIGIN, seq=seq, inputs=tuple(inputs))
    return shard.name_of(shard.encode(made)), made


@settings(max_examples=400)
@given(named_shards)
def test_the_table_is_the_same_at_every_step(named: Store) -> None:
    now = named
    for old in (True, False, True):
        now = step(now, old)
        assert table.merge(now.values()) == table.merge(named.values())
    for token in (shard.ANY_TOKEN, "0" * 12):
        of_token = [one for one in named.values() if one.token == token]
        assert table.merge(of_token) == table.merge(one for one in now.values() if one.token == token)


@settings(max_examples=200)
@given(named_shards)
def test_one_shard_of_each_kind_and_token_is_left(named: Store) -> None:
    left = step(step(named))

    groups = [(each.kind, each.token) for each in left.values()]
    assert len(groups) == len(set(groups))
    assert step(left) == left


@settings(max_examples=200)
@given(named_shards)
def test_two_compactors_at_once_make_the_same(named: Store) -> None:
    assert step(named).keys() == step(named).keys()


@settings(max_examples=200)
@given(named_shards, st.randoms(use_true_random=False))
def test_forged_inputs_never_lose_a_line(named: Store, rng: random.Random) -> None:
    """Compactions that anybody wrote, which name shards, each other and themselves."""
    names = list(named)
    hostile = dict(named)
    for seq, one in enumerate(list(named.values())[:3]):
        name, made = forged(one, rng.sample([*hostile], rng.randint(0, len(hostile))), seq)
        hostile[name] = made
    before = table.merge(hostile.values())
    now = hostile
    for _ in range(3):
        now = step(now)
        assert table.merge(now.values()) == before
    assert names or not now


def test_shards_that_name_each_other_remove_nothing() -> None:
    one = next(each for each in strategies.POOL_SHARDS if each.rows)
    victim = shard.name_of(shard.encode(one))
    # Names hold hashes of contents, so a real circle cannot be written; a compactor must not depend on that.
    first, second = (f"{name}.{shard_origin.COMPACT}.1.{name * 12}.csv" for name in "ab")
    circle = {first: one._replace(inputs=(second, victim)), second: one._replace(inputs=(first, victim))}

    assert victim in step({victim: one, **circle})


def test_a_young_compaction_removes_nothing() -> None:
    rows = [each for each in strategies.POOL_SHARDS if each.rows][:3]
    named = stored(rows)
    now = step(named)

    assert step(now, old=False).keys() >= named.keys()
    assert len(now) > len(named)


def test_a_compaction_that_does_not_contain_its_input_removes_nothing() -> None:
    one = next(each for each in strategies.POOL_SHARDS if each.rows)
    name = shard.name_of(shard.encode(one))
    liar, made = forged(one._replace(rows=()), [name], 1)

    assert name in step({name: one, liar: made})


def test_what_one_shard_cannot_hold_becomes_several_and_then_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_LINES", 4)
    named = stored([each for each in strategies.POOL_SHARDS if each.rows and each.token == shard.ANY_TOKEN])
    before = table.merge(named.values())
    now = step(step(named))

    assert table.merge(now.values()) == before
    lines = sum(len(rows) for rows in before.rows.values())
    assert len(now) == -(-lines // 4)
    assert step(now) == now


@settings(max_examples=200)
@given(named_shards, st.randoms(use_true_random=False))
def test_parts_that_were_not_published_leave_nothing_that_stays_apart(named: Store, rng: random.Random) -> None:
    before, now = table.merge(named.values()), named
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "MAX_LINES", 1)
        for _ in range(2):
            published = step(now)
            new = sorted(published.keys() - now.keys())
            lost = rng.sample(new, rng.randint(0, len(new)))
            now = {name: each for name, each in published.items() if name not in lost}
            assert table.merge(now.values()) == before
    left = step(step(now))
    assert table.merge(left.values()) == before
    groups = [(each.kind, each.token) for each in left.values()]
    assert len(groups) == len(set(groups))


def test_a_bounded_pass_writes_no_large_compaction_again_for_a_few_lines() -> None:
    pool = [each for each in strategies.POOL_SHARDS if each.rows and each.token == shard.ANY_TOKEN]
    large = step(step(stored(pool)))
    few = stored([pool[0]._replace(origin="new.warm", seq=at, rows=pool[0].rows[:1]) for at in range(2)])
    now = step({**large, **few}, everything=False)

    assert large.keys() <= now.keys()
    assert not any(name in each.inputs for name in large for each in now.values())


def test_vetoes_of_all_nodes_stay() -> None:
    key = next(each for each in strategies.POOL_SHARDS if each.rows).rows[0].key
    head = shard.Shard(KEY, "pod.0", 0, shard.VETOES)
    of_nodes = [head._replace(seq=at, vetoes=(Veto(key, 5, "wrong", f"{at:012x}"),)) for at in range(3)]
    now = step(step(stored(of_nodes)))

    (left,) = now.values()
    assert {veto.node for veto in left.vetoes} == {f"{at:012x}" for at in range(3)}
