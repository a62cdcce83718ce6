"""Every damage of a shard: all truncations, all single-bit flips, random holes of zeros. None is ever accepted."""

import random

import pytest
from tests.kernel.mi300x import STACK
from tests.kernel.store import killing

from hipbmm_kernel.store import shard

HOLES = 20_000
LEAST_FLIPS = 20_000
DATA = shard.encode(shard.Shard(STACK.key, "pod-a.warm", 1, rows=killing.TUNED[:10]))


def accepted(data: bytes) -> bool:
    try:
        shard.decode(data)
    except shard.ShardError:
        return False
    return True


def test_the_whole_shard_is_accepted() -> None:
    assert accepted(DATA)


@pytest.mark.timeout(600)
def test_no_truncation_is_accepted() -> None:
    assert [length for length in range(len(DATA)) if accepted(DATA[:length])] == []


@pytest.mark.timeout(1200)
def test_no_flipped_bit_is_accepted() -> None:
    assert len(DATA) * 8 >= LEAST_FLIPS
    found = []
    for bit in range(len(DATA) * 8):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        if accepted(bytes(damaged)):
            found.append(bit)
    assert found == []


@pytest.mark.timeout(1200)
def test_no_hole_is_accepted() -> None:
    draw = random.Random(20_260_605)
    for _ in range(HOLES):
        first = draw.randrange(len(DATA))
        length = draw.randrange(1, len(DATA) - first + 1)
        damaged = DATA[:first] + bytes(length) + DATA[first + length :]
        assert not accepted(damaged), (first, length)
