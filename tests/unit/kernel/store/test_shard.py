"""A shard proves its own completeness, and holds nothing that may not be stored."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from tests.unit.kernel import strategies
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard, shard_lines

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


ROWS = tuple(
    Row(gemm.key_of(Problem(m, 10240, 5120)), 4000 + m, f"Cijk_Alik_WG16_4_{m}", 12.5 + m, None, verified=m > 1)
    for m in (1, 2, 4)
)
SHARD = shard.Shard(KEY, "0f0e6d4c-1b1a-4f6e-9f43-3a3f8a3d7c11.0", 7, rows=ROWS)
DATA = shard.encode(SHARD)
VETOES = (Veto(ROWS[0].key, 12, "wrong result"), Veto(ROWS[1].key, 0, "hung twice"))


def resealed(body: bytes, lines: int = 3) -> bytes:
    return body + f"#end rows={lines} bytes={len(body)} sha256={hashlib.sha256(body).hexdigest()}\n".encode()


def body() -> bytes:
    return DATA[: DATA.rindex(b"#end ")]


def test_text_is_what_the_design_says() -> None:
    lines = DATA.decode().split("\n")

    assert lines[0] == f"#hipbmm-shard v1 key={KEY} origin={SHARD.origin} seq=7 kind=rows token=-"
    assert lines[1].split(", ") == [*gemm.COLUMNS, "tuned_us", "default_us", "verified"]
    assert lines[2] == f"{ROWS[0].key},4001,Cijk_Alik_WG16_4_1,13.5,,0"
    assert lines[5].startswith(f"#end rows=3 bytes={len(body())} sha256=")
    assert lines[6:] == [""]


@settings(max_examples=1000)
@given(strategies.drawn_shards)
def test_decoding_what_was_encoded_gives_the_same_shard(value: shard.Shard) -> None:
    assert shard.decode(shard.encode(value)) == value


LARGER = shard.encode(
    SHARD._replace(
        inputs=(shard.name_of(DATA), "pod.3.0.0123456789ab.csv"),
        rows=tuple(row._replace(algo_index=at, tuned_us=at / 3) for at in range(1, 4) for row in ROWS),
    )
)
FORBIDDING = shard.encode(SHARD._replace(kind=shard.VETOES, token=shard.token_digest("again"), rows=(), vetoes=VETOES))
ALL = (DATA, LARGER, FORBIDDING)


def accepted(data: bytes) -> bool:
    try:
        shard.decode(data)
    except shard.ShardError:
        return False
    return True


@pytest.mark.parametrize("data", ALL, ids=["rows", "compaction", "vetoes"])
def test_every_truncation_is_refused(data: bytes) -> None:
    assert accepted(data)
    assert [length for length in range(len(data)) if accepted(data[:length])] == []


@pytest.mark.parametrize("data", ALL, ids=["rows", "compaction", "vetoes"])
def test_every_single_bit_flip_is_refused(data: bytes) -> None:
    survived = []
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            if accepted(bytes(flipped)):
                survived.append((at, bit))
    assert survived == []


def test_the_flips_above_are_at_least_20_000() -> None:
    assert sum(len(data) * 8 for data in ALL) >= 20_000


def test_zero_holes_are_refused() -> None:
    rng = random.Random(1)
    for size in (1, 2, 16, 64, 512, 4096):
        for _ in range(60):
            start = rng.randrange(len(DATA))
            hole = DATA[:start] + b"\0" * len(DATA[start : start + size]) + DATA[start + size :]
            with pytest.raises(shard.ShardError):
                shard.decode(hole)


@pytest.mark.parametrize("tail", [b"\n", b"#", b" ", b"x", DATA])
def test_anything_behind_the_trailer_is_refused(tail: bytes) -> None:
    with pytest.raises(shard.ShardError, match="incomplete or changed"):
        shard.decode(DATA + tail)


def test_a_right_checksum_does_not_make_a_wrong_line_right() -> None:
    wrong = {
        b",4001,": b",0,",
        b",4002,": b",-1,",
        b",4004,": b",2147483648,",
        b"13.5": b"nan",
        b"14.5": b"1e3",
        b"16.5": b"-1.0",
        b",0\n": b",2\n",
        b"Cijk_Alik_WG16_4_1,": b",",
        b"Cijk_Alik_WG16_4_2,": b'"x",',
        b"f8_e4m3_fnuz_r,5120,0,bf16_r": b"bf16_r,5120,0,bf16_r",
        b"T,N,10240,1,": b"T,N,10240,513,",
    }
    for right, bad in wrong.items():
        assert right in body()
        with pytest.raises(shard.ShardError):
            shard.decode(resealed(body().replace(right, bad, 1)))


@pytest.mark.parametrize(
    ("right", "bad"),
    [
        (b" v1 ", b" v2 "),
        (KEY.encode(), b"unknown"),
        (KEY.encode(), KEY.upper().encode()),
        (b"origin=0f", b"origin=../0f"),
        (b"origin=0f", b"origin=.0f"),
        (b"seq=7", b"seq=07"),
        (b"seq=7", b"seq=x"),
        (b"kind=rows", b"kind=vetoes"),
        (b"kind=rows", b"kind=other"),
        (b"token=-", b"token=secret"),
        (b" token=-", b""),
        (b"tuned_us", b"us"),
    ],
)
def test_a_wrong_head_is_refused(right: bytes, bad: bytes) -> None:
    with pytest.raises(shard.ShardError):
        shard.decode(resealed(body().replace(right, bad, 1)))


def test_too_large_a_shard_is_neither_read_nor_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MAX_BYTES", len(DATA) - 1)
    with pytest.raises(shard.ShardError, match="more than"):
        shard.decode(DATA)
    monkeypatch.setattr(shard, "MAX_BYTES", len(body()) - 1)
    with pytest.raises(shard.ShardError, match="more than"):
        shard.encode(SHARD)


@pytest.mark.parametrize(
    "row",
    [
        ROWS[0]._replace(algo_index=0),
        ROWS[0]._replace(algo_index=2**31),
        ROWS[0]._replace(kernel_name="a,b"),
        ROWS[0]._replace(kernel_name=""),
        ROWS[0]._replace(kernel_name="a\nb"),
        ROWS[0]._replace(tuned_us=float("nan")),
        ROWS[0]._replace(default_us=0.0),
        ROWS[0]._replace(default_us=1e12),
        ROWS[0]._replace(key=ROWS[0].key.replace("bf16_r", "f16_r")),
        ROWS[0]._replace(key=gemm.key_of(Problem(513, 16, 32))),
    ],
)
def test_a_row_that_may_not_be_stored_is_not_encoded(row: Row) -> None:
    with pytest.raises(shard.ShardError, match="cannot be stored"):
        shard.encode(SHARD._replace(rows=(row,)))


@pytest.mark.parametrize(
    "veto",
    [
        VETOES[0]._replace(reason=""),
        VETOES[0]._replace(reason="a,b"),
        VETOES[0]._replace(reason="a\nb"),
        VETOES[0]._replace(reason="x" * 201),
        VETOES[0]._replace(algo_index=-1),
        VETOES[0]._replace(key="x"),
    ],
)
def test_a_veto_that_may_not_be_stored_is_not_encoded(veto: Veto) -> None:
    with pytest.raises(shard.ShardError, match="cannot be stored"):
        shard.encode(SHARD._replace(kind=shard.VETOES, rows=(), vetoes=(veto,)))


def test_rows_and_vetoes_never_share_a_shard() -> None:
    with pytest.raises(shard.ShardError, match="kind"):
        shard.encode(SHARD._replace(vetoes=VETOES))
    with pytest.raises(shard.ShardError, match="kind"):
        shard.encode(SHARD._replace(kind=shard.VETOES))
    data = shard.encode(SHARD._replace(kind=shard.VETOES, rows=(), vetoes=VETOES))
    assert shard.decode(data).vetoes == VETOES


def test_the_name_carries_origin_number_and_hash() -> None:
    name = shard.name_of(DATA)
    sha = hashlib.sha256(body()).hexdigest()

    assert name == f"{SHARD.origin}.7.{sha[:12]}.csv"
    assert name == f"{SHARD.origin}.7.{sha[:12]}.csv"
    assert shard.is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x.csv",
        "pod.0.1.0123456789ab.txt",
        "pod.0.01.0123456789ab.csv",
        "pod.0.1.0123456789AB.csv",
        "../pod.0.1.0123456789ab.csv",
        ".pod.0.1.0123456789ab.csv",
        "p/d.0.1.0123456789ab.csv",
        "pod.0.x.0123456789ab.csv",
        "pod.0.1.0123456789ab.csv.gz",
        "x" * 200 + ".0.1.0123456789ab.csv",
        "pod\n.0.1.0123456789ab.csv",
    ],
)
def test_other_names_are_not_shards(name: str) -> None:
    assert not shard.is_name(name)


def test_inputs_are_names_of_shards() -> None:
    name = shard.name_of(DATA)
    compacted = SHARD._replace(inputs=(name,))

    assert shard.decode(shard.encode(compacted)) == compacted
    with pytest.raises(shard.ShardError, match="input"):
        shard.encode(SHARD._replace(inputs=("../../etc/passwd",)))


def test_equal_keys_of_many_shards_are_one_string() -> None:
    known = shard_lines.Known()
    first, second = shard.decode(DATA, known), shard.decode(DATA, known)

    assert first.rows[0].key is second.rows[0].key


def test_any_retune_token_becomes_a_digest() -> None:
    assert shard.token_digest("") == shard.ANY_TOKEN
    assert shard.token_digest("2026-08-01 again, please\n") == shard.token_digest("2026-08-01 again, please\n")
    assert shard.token_digest("a") != shard.token_digest("b")
    assert len(shard.token_digest("a")) == 12
