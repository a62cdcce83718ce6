"""An archive holds what a store holds, under names that exist, within bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.kernel.strategies import KEY

from hipbmm_kernel.store import archive, publisher
from hipbmm_kernel.store.archive import Member

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


SHARD = Member(KEY, "pod.0.1.0123456789ab.csv")
STACK = Member(KEY, "")
WHOLE = {SHARD: (100, "a" * 64), STACK: (300, "b" * 64)}


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
        f"v1/unknown/{publisher.STACK_NAME}",
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
    assert json.loads(archive.manifest(WHOLE)) == {
        "v": 1,
        "files": {
            SHARD.path: {"bytes": 100, "sha256": "a" * 64},
            STACK.path: {"bytes": 300, "sha256": "b" * 64},
        },
    }


@settings(max_examples=1000)
@given(st.text(alphabet="./v1shardtackjon0123456789abcdef\\\0-", max_size=60))
def test_a_member_is_always_at_its_own_path(path: str) -> None:
    found = archive.member(path)

    assert found is None or found.path == path
