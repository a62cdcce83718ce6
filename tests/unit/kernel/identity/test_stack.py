"""The key of a stack: any difference is another key, anything unknown is none."""

from __future__ import annotations

import hashlib
import json

import pytest

from hipbmm_kernel.identity import stack
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import gemm

FULL = Stack(
    arch="gfx942",
    features="sramecc+:xnack-",
    compute_units=304,
    product="MI300X",
    partition="SPX",
    memory_partition="NPS1",
    hipblaslt="1.2.2",
    databases=("a" * 64, "b" * 64),
    aiter="0.1.20",
    fp8="e4m3fnuz",
    rocm="7.2.1",
    environment=(("TENSILE_SOLUTION_SELECTION_METHOD", "2"),),
)
OTHERS = {
    "arch": "gfx950",
    "features": "sramecc+:xnack+",
    "compute_units": 80,
    "product": "MI308X",
    "partition": "CPX",
    "memory_partition": "NPS4",
    "hipblaslt": "1.2.1",
    "databases": ("a" * 64,),
    "aiter": "0.1.19",
    "fp8": "e4m3fn",
    "rocm": "7.2.2",
    "environment": (),
    "simulated": True,
}


def test_the_key_is_a_prefix_of_the_hash_of_the_canonical_json() -> None:
    canonical = FULL.canonical()

    assert FULL.key == hashlib.sha256(canonical).hexdigest()[:16]
    assert canonical == json.dumps(json.loads(canonical), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("field", OTHERS)
def test_any_difference_is_another_key(field: str) -> None:
    other = FULL._replace(**{field: OTHERS[field]})  # type: ignore[arg-type] # values of the field's own type

    assert other.key != FULL.key
    assert stack.parse(other.canonical()) == other


@pytest.mark.parametrize("field", [name for name in OTHERS if name not in ("environment", "simulated")])
def test_anything_unreadable_makes_the_key_unknown(field: str) -> None:
    empty: object = () if field == "databases" else None
    partial = FULL._replace(**{field: empty})  # type: ignore[arg-type] # as above

    assert partial.key == stack.UNKNOWN
    assert len(partial.unknown()) == 1


def test_order_and_repetition_of_what_was_found_do_not_matter() -> None:
    shuffled = FULL._replace(databases=("b" * 64, "a" * 64, "b" * 64))

    assert shuffled.key == FULL.key


def test_every_field_of_the_stack_has_its_difference_here() -> None:
    assert set(OTHERS) == set(Stack._fields)


def test_the_fp8_type_names_a_column() -> None:
    assert FULL.fp8_column == gemm.FNUZ
    assert FULL._replace(fp8="e4m3fn").fp8_column == gemm.OTHER
    with pytest.raises(ValueError, match="no name"):
        _ = FULL._replace(fp8=None).fp8_column


def test_the_summary_is_what_the_report_carries() -> None:
    assert FULL.summary() == {
        "arch": "gfx942",
        "computeUnits": 304,
        "product": "MI300X",
        "partition": "SPX",
        "memoryPartition": "NPS1",
        "hipblaslt": "1.2.2",
        "aiter": "0.1.20",
        "rocm": "7.2.1",
        "fp8": "e4m3fnuz",
        "simulated": False,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b" " * (stack.MAX_BYTES + 1),
        FULL.canonical() + b" ",
        FULL.canonical().replace(b'"v":1', b'"v":2'),
        FULL.canonical().replace(b"304", b"304.0"),
        FULL.canonical().replace(b"304", b'"304"'),
        FULL.canonical().replace(b"304", b"true"),
        FULL.canonical().replace(b'"gfx942"', b"942"),
        FULL.canonical().replace(b'"gfx942"', b'"gfx942","extra":1'),
        FULL.canonical().replace(b'"simulated":false', b'"simulated":0'),
        FULL.canonical().replace(b'{"TENSILE_SOLUTION_SELECTION_METHOD":"2"}', b"[]"),
        FULL.canonical().replace(b'":"2"}', b'":2}'),
    ],
    ids=range(16),
)
def test_what_is_not_a_canonical_stack_is_refused(data: bytes) -> None:
    with pytest.raises(stack.StackError):
        stack.parse(data)


def test_a_line_end_behind_it_is_fine() -> None:
    assert stack.parse(FULL.canonical() + b"\n") == FULL
