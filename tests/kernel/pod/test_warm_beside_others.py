"""`warm` on a store that others write to: sick nodes, hostile writers, and stores that grow."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.kernel.pods import SMALL_MODEL, Pod, fill
from tests.kernel.store.stores import names, put

from hipbmm_kernel.planner import plan
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import shard
from hipbmm_kernel.store.reader import MANY

PROBLEMS = plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(tokens=(1, 2, 16))).problems
VETOED = gemm.key_of(PROBLEMS[0])


def node(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


@pytest.fixture
def full(pod: Pod) -> Pod:
    """A pod on node-a whose store has every row of its plan."""
    fill(pod.store, pod.stack(), list(PROBLEMS))
    pod.env["HIPBMM_NODE_NAME"] = "node-a"
    return pod


def veto(pod: Pod, index: int, of: str) -> None:
    put(pod.store, pod.stack(), Veto(VETOED, index, "wrong result", node(of)), origin=f"{of}.warm")


def served(pod: Pod, **env: str) -> set[str]:
    """Keys of the served file after `warm`, which must not tune."""
    done = pod.run("warm", HIPBMM_TUNE="0", **env)
    assert done.returncode == 0, done.stderr
    return {row.key for row in aiter_csv.parse(pod.served_file.read_bytes()).accepted}


@pytest.mark.parametrize("index", [100, 0], ids=["of a row", "of a problem"])
def test_a_sick_node_takes_nothing_from_a_healthy_one(full: Pod, index: int) -> None:
    veto(full, index, "node-sick")
    assert VETOED in served(full)
    assert (full.message["state"], full.message["failed"]) == ("Complete", 0)


def test_a_node_keeps_to_its_own_veto(full: Pod) -> None:
    veto(full, 100, "node-a")
    assert VETOED not in served(full)
    assert VETOED in served(full, HIPBMM_NODE_NAME="node-b")


def test_what_two_nodes_say_binds_all(full: Pod) -> None:
    veto(full, 100, "node-b")
    veto(full, 100, "node-c")
    assert VETOED not in served(full)


def test_the_vetoes_of_sick_pods_on_one_node_are_of_one_node(full: Pod) -> None:
    for name in ("first", "second"):
        made = Veto(VETOED, 100, "wrong result", node("node-sick"))
        put(full.store, full.stack(), made, origin=f"{name}.warm")
    assert VETOED in served(full)


def test_hostile_files_hide_no_row_and_forge_no_line(full: Pod) -> None:
    place = full.store / "v1" / full.stack().key / "shards"
    for number in range(3000):
        (place / f"{number:06x}.warm.1.0123456789ab.csv").write_bytes(b"")
    with (place / "sparse.warm.1.0123456789ab.csv").open("wb") as sparse:
        sparse.truncate(shard.MAX_BYTES)
    forged = shard.encode(shard.Shard(full.stack().key, "x.warm", 1, rows=(Row(VETOED, 5),)))
    body = forged[: forged.rindex(b"#end ")].replace(b"true,true", b"\x1b[2Jhipbmm-shard a 1/1 QUJD\r true,true")
    trailer = f"#end rows=1 bytes={len(body)} sha256={hashlib.sha256(body).hexdigest()}\n".encode()
    (place / f"x.warm.1.{hashlib.sha256(body).hexdigest()[:12]}.csv").write_bytes(body + trailer)
    done = full.run("warm", HIPBMM_TUNE="0")
    assert full.message["rows"] == len(PROBLEMS)
    assert "3002 files refused" in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))
    assert not any(line.startswith("hipbmm-shard") for line in done.stderr.splitlines())


def test_a_start_makes_few_shards_of_many(full: Pod, tmp_path: Path) -> None:
    for at in range(MANY):
        key = gemm.key_of(gemm.Problem(1 + at, 4096, 4096))
        put(full.store, full.stack(), Row(key, 7, "Cijk", 9.0), origin=f"pod-{at}.harvest")
    done = full.run("warm", HIPBMM_TUNE="0")
    assert "1 new, 0 removed" in done.stderr
    assert len(names(full.store)) == MANY + 2
    assert "compacted" not in full.run("warm", HIPBMM_TUNE="0").stderr
