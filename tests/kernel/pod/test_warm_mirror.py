"""A table on its way from one pod's log into the mirror that the next pod mounts."""

import base64
import gzip
import json
from pathlib import Path

import pytest
from tests.kernel.pods import SMALL_MODEL, Pod, PodMaker, fill

from hipbmm_kernel.planner import plan
from hipbmm_kernel.store import mirror_log, shard

PROBLEMS = list(plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(tokens=(1, 2, 16))).problems)


def logged(stderr: str) -> dict[str, bytes]:
    """The shards in a log, by name."""
    found: dict[str, bytes] = {}
    for line in stderr.splitlines():
        if line.startswith(f"{mirror_log.MARK} "):
            _, name, _, piece = line.split(" ")
            found[name] = found.get(name, b"") + base64.b64decode(piece)
    return {name: gzip.decompress(data) for name, data in found.items()}


def mount(pod: Pod, shards: dict[str, bytes]) -> None:
    """As a ConfigMap is mounted: flat, gzipped, each file a link into a directory with the date as its name."""
    mirror, data = pod.home / "mirror", pod.home / "mirror" / "..2026_11_25"
    data.mkdir(parents=True)
    for name, text in shards.items():
        (data / f"{name}.gz").write_bytes(gzip.compress(text))
        (mirror / f"{name}.gz").symlink_to(Path(data.name) / f"{name}.gz")


@pytest.fixture
def first(make_pod: PodMaker) -> Pod:
    """A pod with a complete table and no mirror yet."""
    pod = make_pod("pod-a")
    fill(pod.store, pod.stack(), PROBLEMS)
    return pod


def test_nothing_is_written_into_the_log_unless_asked(first: Pod) -> None:
    done = first.run("warm")
    assert logged(done.stderr) == {}
    assert first.message["mirror"] == {"shards": [], "lines": 0}


def test_the_next_pod_finds_every_row_in_the_mirror_and_adds_nothing(first: Pod, make_pod: PodMaker) -> None:
    done = first.run("warm", HIPBMM_MIRROR_LOG="1")
    shards = logged(done.stderr)
    assert {name: shard.name_of(data) for name, data in shards.items()} == {name: name for name in shards}
    lines = [line for line in done.stderr.splitlines() if line.startswith(mirror_log.MARK)]
    assert first.message["mirror"] == {"shards": sorted(shards), "lines": len(lines)}
    assert done.stderr.splitlines()[-1].startswith("hipbmm warm: Complete")

    second = make_pod("pod-b")
    mount(second, shards)
    done = second.run("warm", HIPBMM_MIRROR_LOG="1", HIPBMM_STORE=str(second.root / "nothing"))
    message = second.message
    assert (message["state"], message["source"], message["rows"]) == ("Complete", "Restored", len(PROBLEMS))
    assert (message["children"], message["torchImported"]) == (0, False)
    assert message["mirror"] == {"shards": [], "lines": 0}
    assert logged(done.stderr) == {}
    assert second.served_file.read_bytes() == first.served_file.read_bytes()


def test_every_pod_writes_the_same_shard(first: Pod, make_pod: PodMaker) -> None:
    other = make_pod("pod-b")
    assert logged(first.run("warm", HIPBMM_MIRROR_LOG="1").stderr) == logged(
        other.run("warm", HIPBMM_MIRROR_LOG="1").stderr
    )


def test_what_a_mirror_lacks_is_merged_with_what_it_has(first: Pod, make_pod: PodMaker) -> None:
    half = make_pod("pod-b")
    half.env["HIPBMM_STORE"] = str(half.root / "own")
    fill(half.root / "own", half.stack(), PROBLEMS[:5])
    held = logged(half.run("warm", HIPBMM_MIRROR_LOG="1", HIPBMM_TUNE="0").stderr)
    mount(first, held)
    (merged,) = (shard.decode(data) for data in logged(first.run("warm", HIPBMM_MIRROR_LOG="1").stderr).values())
    assert {row.problem for row in merged.rows} == set(PROBLEMS)
    assert merged.inputs == tuple(held)


def test_an_unusable_setting_is_named(first: Pod) -> None:
    done = first.run("warm", HIPBMM_MIRROR_LOG="maybe")
    assert done.returncode == 2
    assert "HIPBMM_MIRROR_LOG" in done.stderr
