"""Demand on its way from a log into a mirror: whole or not at all, bounded, and one join with that of the store."""

import base64
import gzip
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from hipbmm_kernel.dispatch import demand
from hipbmm_kernel.dispatch.demand_lines import MAX_DEMAND, Demand
from hipbmm_kernel.store import mirror_log
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.content import MAX_DEMANDS, Content

KEY, OTHER = "9f2c0a1b2c3d4e5f", "0000000000000001"


def counts(**calls: int) -> list[Demand]:
    """`m7=3`: three calls of M 7."""
    return [Demand(int(name[1:]), 256, 512, False, count) for name, count in calls.items()]


def carried(pod: str, seconds: int, found: Iterable[Demand], key: str = KEY) -> list[shards.Shard]:
    """What the operator takes from the log of the pod's sidecar."""
    lines = mirror_log.log_lines(demand.framed(key, pod, seconds, found))
    return shards.newest_in_log("\n".join(lines), shards.of_sidecar(pod))


def mounted(folder: Path, content: Content) -> str:
    """As a ConfigMap is mounted: each file a link."""
    (folder / "..data").mkdir(parents=True)
    for name, data in content.binary().items():
        (folder / "..data" / name).write_bytes(base64.b64decode(data))
        (folder / name).symlink_to(f"..data/{name}")
    return str(folder)


def read(*roots: str, key: str = KEY) -> dict[int, int]:
    problems: list[str] = []
    found = {item.m: item.calls for item in demand.read(Volume(), roots, key, problems)}
    assert problems == []
    return found


def test_the_last_counts_of_each_pod_add_up_with_those_of_the_store_and_are_no_shards(tmp_path: Path) -> None:
    content = Content()
    for pod, seconds, found in (("a", 9, counts(m7=50)), ("a", 10, counts(m7=90)), ("b", 8, counts(m7=40, m9=35))):
        content = content.joined(carried(pod, seconds, found))
    content = content.joined(carried("c", 11, counts(m7=1000), OTHER))
    mirror = mounted(tmp_path / "mirror", content)
    assert read(mirror) == {7: 130, 9: 35}
    assert read(mirror, key=OTHER) == {7: 1000}
    store = tmp_path / "store"
    (store / "v1" / KEY).mkdir(parents=True)
    demand.publish(Volume(), str(store), KEY, "a", counts(m7=100, m8=1))
    assert read(str(store), mirror, str(tmp_path / "nowhere")) == {7: 140, 8: 1, 9: 35}
    reader = Reader(Volume(), Clock(), KEY, 1.0)
    assert list(reader.found(mirror, mirror=True)) == []
    assert reader.reading.refused_count == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip", "renamed", "a loop", "a directory"])
def test_what_is_damaged_in_a_mirror_costs_only_itself(tmp_path: Path, damage: str) -> None:
    content = Content().joined([*carried("a", 1, counts(m7=50)), *carried("b", 2, counts(m9=60))])
    mirror = Path(mounted(tmp_path / "mirror", content))
    (path,) = (mirror / "..data").glob("demand.a.*")
    data = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(gzip.compress(gzip.decompress(data).replace(b"512,0,50", b"512,0,90")))
    elif damage in {"cut", "no gzip"}:
        path.write_bytes(data[:-9] if damage == "cut" else b"m,n,k,bias,calls")
    elif damage == "renamed":
        (mirror / path.name).unlink()
        (mirror / path.name.replace("demand.a.", "demand.c.")).symlink_to(f"..data/{path.name}")
    else:
        path.unlink()
        path.symlink_to(path.name) if damage == "a loop" else path.mkdir()
    assert read(str(mirror)) == {9: 60}


def test_only_what_many_pods_could_make_hot_is_sent_and_no_more_than_the_operator_takes() -> None:
    digits = random.Random(7)
    many = [
        Demand(digits.randrange(1, 513), digits.randrange(1 << 30), digits.randrange(1 << 30), True, 10**17 - at)
        for at in range(MAX_DEMAND)
    ]
    assert demand.for_mirror(counts(m7=demand.MIRROR_CALLS, m8=demand.MIRROR_CALLS - 1)) == counts(m7=32)
    sent = demand.for_mirror(many)
    assert sent == many[: demand.MIRROR_LINES]
    (shard,) = carried("a", 1_700_000_000, sent)
    assert gzip.decompress(shard.packed).count(b"\n") == demand.MIRROR_LINES + 3  # two lines of head, one behind
    assert MAX_DEMANDS * len(shard.packed) < shards.MAX_PACKED_BYTES / 4
    assert carried("a", 1, many[: demand.MIRROR_LINES + 1]) == []
