"""What travels in a shard's frame arrives whole, under its own name, or not at all."""

import gzip

import pytest

from hipbmm_kernel.store.frames import frame, unframe, unzipped
from hipbmm_kernel.store.shard import ShardError, name_of

KEY = "0123456789abcdef"
LINES = ("m,n,k,bias,calls", "1,2,3,0,4", "5,6,7,1,8")
TEXT = frame(KEY, "demand.pod-a", 7, "demand", LINES)
NAME = name_of(TEXT)
LIMIT = 1 << 20


def test_what_is_framed_comes_back() -> None:
    assert NAME.startswith("demand.pod-a.7.")
    assert unframe(NAME, gzip.compress(TEXT), LIMIT) == (KEY, list(LINES))


def test_equal_content_has_an_equal_name() -> None:
    assert frame(KEY, "demand.pod-a", 7, "demand", LINES) == TEXT
    assert name_of(frame(KEY, "demand.pod-a", 7, "demand", LINES[:2])) != NAME


@pytest.mark.parametrize("at", range(0, len(TEXT), 7))
def test_a_changed_byte_is_seen(at: int) -> None:
    changed = TEXT[:at] + bytes([TEXT[at] ^ 1]) + TEXT[at + 1 :]
    with pytest.raises(ShardError):
        unframe(NAME, gzip.compress(changed), LIMIT)


@pytest.mark.parametrize("length", range(0, len(TEXT), 7))
def test_a_cut_text_is_seen(length: int) -> None:
    with pytest.raises(ShardError):
        unframe(NAME, gzip.compress(TEXT[:length]), LIMIT)


def test_another_name_is_refused() -> None:
    with pytest.raises(ShardError, match="another name"):
        unframe(NAME.replace("pod-a", "pod-b"), gzip.compress(TEXT), LIMIT)


def test_a_bomb_is_unpacked_up_to_the_limit_and_damage_not_at_all() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(unzipped(bomb, LIMIT)) == LIMIT, "what it costs is what was unpacked"
    with pytest.raises(ShardError):
        unframe(NAME, bomb, LIMIT)
    assert unzipped(b"no gzip", LIMIT) == b""
    assert unzipped(gzip.compress(TEXT)[:-9], LIMIT) == b""
