"""A plan in a store: written once, found by its key in any store, and damage is seen and worked around."""

from __future__ import annotations

import errno
import gzip
import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.kernel.planner.test_answer import ANSWER

from hipbmm_kernel.image import kept_plan
from hipbmm_kernel.store import mirror_log, plans
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.mirror import shards as operator_shards
from hipbmm_operator.mirror.content import Content

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef"


def test_what_one_pod_keeps_the_next_one_finds(tmp_path: Path) -> None:
    problems: list[str] = []
    assert plans.find(Volume(), [str(tmp_path)], KEY, kept_plan.decode, problems) is None
    assert plans.keep(Volume(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER)) == ""
    assert plans.find(Volume(), [str(tmp_path / "none"), str(tmp_path)], KEY, kept_plan.decode, problems) == ANSWER
    assert problems == []
    assert [path.name for path in (tmp_path / "v1" / "plans").iterdir()] == [f"{KEY}.json"]


def test_two_pods_with_one_answer_keep_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        assert plans.keep(Volume(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER)) == ""
    assert len(list((tmp_path / "v1" / "plans").iterdir())) == 1


WHOLE = kept_plan.encode(KEY, ANSWER)


@pytest.mark.parametrize(
    "damaged", [WHOLE[:0], WHOLE[:1], WHOLE[:100], WHOLE.replace(b"5120", b"5121"), WHOLE + WHOLE], ids=len
)
def test_a_damaged_file_is_named_and_the_next_name_is_taken(tmp_path: Path, damaged: bytes) -> None:
    directory = tmp_path / "v1" / "plans"
    directory.mkdir(parents=True)
    (directory / f"{KEY}.json").write_bytes(damaged)
    problems: list[str] = []
    assert plans.find(Volume(), [str(tmp_path)], KEY, kept_plan.decode, problems) is None
    assert len(problems) == 1
    assert plans.keep(Volume(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER)) == ""
    assert plans.find(Volume(), [str(tmp_path)], KEY, kept_plan.decode, problems) == ANSWER


@pytest.mark.parametrize("other", [b"", WHOLE[:-9], WHOLE + WHOLE, b"x" * (2 * plans.MAX_BYTES)], ids=len)
def test_names_that_all_hold_something_else_are_the_reason(tmp_path: Path, other: bytes) -> None:
    """Not that something is too large: the pod's own plan is not."""
    directory = tmp_path / "v1" / "plans"
    directory.mkdir(parents=True)
    for name in plans.names(KEY):
        (directory / name).write_bytes(other)
    assert plans.keep(Volume(), str(tmp_path), KEY, WHOLE).startswith("EEXIST: ")
    assert {path.read_bytes() for path in directory.iterdir()} == {other}


def test_another_keys_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="its key is"):
        kept_plan.decode("f" * 16, kept_plan.encode(KEY, ANSWER))


def test_a_plan_file_is_json_for_people(tmp_path: Path) -> None:
    plans.keep(Volume(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER))
    document = json.loads((tmp_path / "v1" / "plans" / f"{KEY}.json").read_text())
    assert document["plan"]["architecture"] == "Qwen3ForCausalLM"


class Full(Volume):
    def write(self, fd: int, data: memoryview) -> int:  # noqa: ARG002 - the call's own parameters
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_volume_that_is_full_is_a_reason_and_nothing_else(tmp_path: Path) -> None:
    for _ in range(plans.NAMES + 1):  # nothing is left that would use up the names of the key
        assert "ENOSPC" in plans.keep(Full(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER))
    assert plans.keep(Volume(), str(tmp_path), KEY, kept_plan.encode(KEY, ANSWER)) == ""


def test_a_store_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    assert "ENOENT" in plans.keep(Volume(), str(tmp_path / "none"), KEY, kept_plan.encode(KEY, ANSWER))


def framed() -> tuple[str, bytes]:
    """Name and text of the plan for a mirror."""
    text = plans.frame(KEY, kept_plan.encode(KEY, ANSWER))
    return shards.name_of(text), text


def test_a_plan_is_carried_by_whoever_carries_shards(tmp_path: Path) -> None:
    name, text = framed()
    carried = operator_shards.check(name, gzip.compress(text))
    assert (carried.name, gzip.decompress(carried.packed)) == (name, text)
    (tmp_path / f"{name}.gz").write_bytes(carried.packed)
    assert plans.find(Volume(), [str(tmp_path)], KEY, kept_plan.decode, []) == ANSWER
    assert plans.find(Volume(), [str(tmp_path)], "f" * 16, kept_plan.decode, []) is None


def test_a_plan_in_a_log_is_found_by_the_operator() -> None:
    name, text = framed()
    log = "\n".join(["hipbmm warm: something", *mirror_log.log_lines(text), ""])
    found, problems = operator_shards.in_log(log, [name])
    assert ([each.name for each in found], problems) == ([name], [])
    content = Content().joined(found)
    assert list(content.binary()) == [f"{name}.gz"]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"not a gzip"])
def test_a_damaged_plan_of_a_mirror_is_named(tmp_path: Path, damage: bytes) -> None:
    name, _ = framed()
    (tmp_path / f"{name}.gz").write_bytes(damage)
    problems: list[str] = []
    assert plans.find(Volume(), [str(tmp_path)], KEY, kept_plan.decode, problems) is None
    assert len(problems) == 1


def test_a_plan_is_no_shard_to_who_reads_shards(tmp_path: Path) -> None:
    name, text = framed()
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text))
    reader = Reader(Volume(), Clock(), KEY, 1.0)
    assert list(reader.found(str(tmp_path), mirror=True)) == []
    assert reader.reading.refused_count == 0
