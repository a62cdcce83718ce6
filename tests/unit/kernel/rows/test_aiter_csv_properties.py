"""Properties of the strict reader, with AITER's own rules as referee."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel import aiter_reader, strategies
from tests.unit.kernel.csvtext import HEADER

from hipbmm_kernel.rows import aiter_csv

if TYPE_CHECKING:
    from hipbmm_kernel.rows.gemm import Row

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


MANY = settings(max_examples=1000)


def text(row: Row) -> bytes:
    return f"{row.key},{row.algo_index},{row.kernel_name}".encode("ascii")


def damaged(rng: random.Random) -> bytes:
    """A row with some bytes replaced, removed or inserted; never a "t" in front, since so begins a torn row."""
    line = bytearray(text(rng.choice(strategies.PLAIN_ROWS)))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(line))
        byte = rng.choice(b"0159,-+ \t\v\x00\"'TeN.\xff\xa0#")
        action = rng.randrange(3)
        if action == 0:
            line.insert(at, byte)
        elif action == 1:
            del line[at]
        else:
            line[at] = byte
    return bytes(line)


def some_lines(rng: random.Random) -> list[bytes]:
    rows = [text(row) for row in strategies.PLAIN_ROWS]
    foreign = [line.replace(b"true,true,T,N", b"false,true,N,T") for line in rows[:40]]
    fixed = [b"", b"# note", HEADER.encode(), b"true,true,T,N", b"garbage"]
    return [*rows, *foreign, *(damaged(rng) for _ in range(3000)), *fixed * 20]


lines = st.sampled_from(some_lines(random.Random(3)))


@MANY
@given(st.lists(lines, max_size=6), st.booleans())
def test_a_repaired_file_answers_what_the_first_exact_row_of_each_key_says(found: list[bytes], crlf: bool) -> None:
    data = b"".join(line + (b"\r\n" if crlf else b"\n") for line in found)

    parsed = aiter_csv.parse(data)

    if parsed.refused is None:
        assert aiter_reader.table(aiter_csv.repaired(parsed)) == aiter_reader.exact(data)


@MANY
@given(st.lists(lines, max_size=6))
def test_every_line_is_accounted_for(found: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in found)

    parsed = aiter_csv.parse(data)

    silent = sum(not line.strip() or line[:1] == b"#" or line == HEADER.encode() for line in found)
    kept = len(parsed.accepted) + len(parsed.foreign) + parsed.duplicates + len(parsed.conflicts)
    if parsed.refused is None:
        assert kept + len({finding.line for finding in parsed.rejected}) + silent == len(found)


@MANY
@given(
    st.lists(strategies.plain_rows, min_size=1, max_size=3),
    st.lists(st.integers(0, 200), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_cut_and_glued_rows_never_make_a_row_that_was_not_there(
    found: list[Row], cuts: list[int], cut_at_all: list[bool]
) -> None:
    data = b""
    for row, cut, is_cut in zip(found, cuts, cut_at_all, strict=False):
        line = text(row) + b"\n"
        data += line[:cut] if is_cut else line
    written = {(row.key, row.algo_index) for row in found}

    parsed = aiter_csv.parse(data)

    assert {(row.key, row.algo_index) for row in parsed.accepted} <= written
    assert parsed.foreign == ()


@MANY
@given(st.lists(strategies.plain_rows, max_size=6, unique_by=lambda row: row.key))
def test_parsing_what_was_formatted_gives_the_same_rows(found: list[Row]) -> None:
    parsed = aiter_csv.parse(aiter_csv.format_rows(found))

    assert parsed == aiter_csv.Parsed(accepted=tuple(found))


@MANY
@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    parsed = aiter_csv.parse(data)

    assert aiter_csv.parse(aiter_csv.repaired(parsed)).rejected == ()
