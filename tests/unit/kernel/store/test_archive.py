"""An archive holds what a store holds, under names that exist, within bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.store import archive, shard
from hipbmm_kernel.store.archive import Entry, Member

pytestmark = pytest.mark.timeout(300)  # a thousand examples each, on a machine that may be shared


SHARD = Member(KEY, "pod.0.1.0123456789ab.csv")
STACK = Member(KEY, "")
WHOLE = {SHARD: Entry(100, "a" * 64), STACK: Entry(300, "b" * 64)}


def test_paths_are_those_of_a_store() -> None:
    assert SHARD.path == f"v1/{KEY}/shards/pod.0.1.0123456789ab.csv"
    assert STACK.path == f"v1/{KEY}/stack.json"
    assert archive.member(SHARD.path) == SHARD
    assert archive.member(STACK.path) == STACK


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../v1/x",
        f"/{SHARD.path}",
        f"./{SHARD.path}",
        f"v1/{KEY}/shards/../../{KEY}/stack.json",
        f"v1/{KEY}/shards/",
        f"v1/{KEY}/shards/.hidden.0.1.0123456789ab.csv",
        f"v1/{KEY}/shards/x",
        f"v1//{KEY}/stack.json",
        f"v1/{KEY.upper()}/stack.json",
        f"v1/unknown/{archive.STACK_FILE}",
        f"v2/{KEY}/stack.json",
        f"v1/{KEY}/stack.json/",
        f"v1/{KEY}/stack.json\0",
        f"v1\\{KEY}\\stack.json",
        archive.MANIFEST,
    ],
)
def test_other_paths_are_not_of_a_store(path: str) -> None:
    assert archive.member(path) is None


def test_the_manifest_names_every_member() -> None:
    assert archive.parse_manifest(archive.manifest(WHOLE)) == WHOLE
    assert archive.parse_manifest(archive.manifest({})) == {}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"v": 2, "files": {}},
        {"v": 1, "files": []},
        {"v": 1, "files": {"../x": {"bytes": 1, "sha256": "a" * 64}}},
        {"v": 1, "files": {SHARD.path: {"bytes": -1, "sha256": "a" * 64}}},
        {"v": 1, "files": {SHARD.path: {"bytes": True, "sha256": "a" * 64}}},
        {"v": 1, "files": {SHARD.path: {"bytes": shard.MAX_BYTES + 1, "sha256": "a" * 64}}},
        {"v": 1, "files": {STACK.path: {"bytes": 70_000, "sha256": "a" * 64}}},
        {"v": 1, "files": {SHARD.path: {"bytes": 1, "sha256": "A" * 64}}},
        {"v": 1, "files": {SHARD.path: {"bytes": 1, "sha256": "a" * 63}}},
        {"v": 1, "files": {SHARD.path: 7}},
    ],
    ids=range(12),
)
def test_a_manifest_that_promises_anything_else_is_refused(document: object) -> None:
    with pytest.raises(archive.ArchiveError):
        archive.parse_manifest(json.dumps(document).encode())


def test_size_depth_and_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(archive.ArchiveError, match="not JSON"):
        archive.parse_manifest(b"[" * 100_000)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 399)
    with pytest.raises(archive.ArchiveError, match="more than 399 bytes"):
        archive.parse_manifest(archive.manifest(WHOLE))
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    with pytest.raises(archive.ArchiveError, match="at most 1 files"):
        archive.parse_manifest(archive.manifest(WHOLE))
    monkeypatch.setattr(archive, "MAX_MANIFEST_BYTES", 10)
    with pytest.raises(archive.ArchiveError, match="larger than 10 bytes"):
        archive.parse_manifest(archive.manifest(WHOLE))


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="./v1shardtackjon0123456789abcdef\\\0-", max_size=60))
def test_a_member_is_always_at_its_own_path(path: str) -> None:
    found = archive.member(path)

    assert found is None or found.path == path
