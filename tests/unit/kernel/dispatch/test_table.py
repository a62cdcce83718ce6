"""The file with a pod's table: what is written is read back, and nothing else is read at all."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.mi300x import STACK

from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.table import Entry, Table, TableError, decode, encode

ENTRIES = (Entry(1, 256, 512, False, 2003, 1), Entry(3, 256, 512, False, 2010, 4), Entry(16, 512, 256, True, 9, 16))
WHOLE = encode(Table(STACK, ENTRIES))

sizes, wide = st.integers(1, 512), st.integers(1, 1 << 20)
entries = st.builds(
    lambda m, more, n, k, bias, index: Entry(m, n, k, bias, index, min(512, m + more)),
    sizes, st.integers(0, 511), wide, wide, st.booleans(), st.integers(1, 1 << 30),
)  # fmt: skip


@given(st.lists(entries, unique_by=lambda entry: entry[:4]))
def test_what_is_written_is_read_back(some: list[Entry]) -> None:
    assert decode(encode(Table(STACK, tuple(some)))) == Table(STACK, tuple(some))


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(TableError):
            decode(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    with pytest.raises(TableError):
        decode(bytes(data))


@given(st.binary(max_size=200))
def test_other_content_is_refused(data: bytes) -> None:
    with pytest.raises(TableError):
        decode(data)


def signed(body: object) -> bytes:
    """A file of our format with that body."""
    data = json.dumps(body).encode()
    return f"#{tables.FORMAT} sha256={hashlib.sha256(data).hexdigest()}\n".encode() + data


@pytest.mark.parametrize(
    "values",
    [
        [0, 256, 512, False, 7, 1],
        [513, 256, 512, False, 7, 513],
        [4, 256, 512, False, 7, 3],
        [4, 256, 512, False, 7, 513],
        [4, 0, 512, False, 7, 4],
        [4, 256, -1, False, 7, 4],
        [4, 256, 1 << 31, False, 7, 4],
        [4, 256, 512, False, 0, 4],
        [4, 256, 512, False, -1, 4],
        [4, 256, 512, 0, 7, 4],
        [True, 256, 512, False, 7, 4],
        [4.0, 256, 512, False, 7, 4],
        [4, 256, 512, False, 7],
        "4,256,512,0,7,4",
        None,
    ],
)
def test_an_entry_that_no_call_could_have_is_refused_and_never_written(values: object) -> None:
    with pytest.raises(TableError):
        decode(signed({"stack": STACK.canonical().decode(), "entries": [values]}))
    if isinstance(values, list) and len(values) == len(Entry._fields):
        with pytest.raises(ValueError, match="Entry"):
            encode(Table(STACK, (Entry(*values),)))


@pytest.mark.parametrize("body", [[], {}, {"stack": 1, "entries": []}, {"stack": "{}", "entries": []}, {"entries": []}])
def test_a_signed_body_that_is_no_table_is_refused(body: object) -> None:
    with pytest.raises(TableError):
        decode(signed(body))


def test_two_entries_for_one_problem_are_refused() -> None:
    twice = [list(ENTRIES[0]), [*ENTRIES[0][:4], 5, 2]]
    with pytest.raises(TableError, match="two entries"):
        decode(signed({"stack": STACK.canonical().decode(), "entries": twice}))
