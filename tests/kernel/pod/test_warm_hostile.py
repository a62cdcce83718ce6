"""`warm` on stores and mirrors with odd things of somebody else: the honest rows are served, and nothing waits."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.pods import SMALL_MODEL, Pod, fill

from hipbmm_kernel.planner import plan
from hipbmm_kernel.store import shard
from hipbmm_kernel.store.shard import Shard

NAME = "0bad.warm.1.0123456789ab.csv"
SECONDS = 60.0
"""A restored `warm` takes 0.2 s; the rest is for a machine that does other things."""


def shards_of(pod: Pod) -> Path:
    return next(pod.store.glob("v1/*/shards"))


@pytest.fixture
def full(pod: Pod) -> Pod:
    """A pod whose store has every row of its plan."""
    fill(
        pod.store,
        pod.stack(),
        list(plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(tokens=(1, 2, 16))).problems),
    )
    return pod


def a_pipe(pod: Pod) -> None:
    os.mkfifo(shards_of(pod) / NAME)


def a_socket(pod: Pod) -> None:
    here = Path.cwd()
    os.chdir(shards_of(pod))
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(NAME)
    finally:
        os.chdir(here)


def a_directory(pod: Pod) -> None:
    (shards_of(pod) / NAME / "deeper").mkdir(parents=True)


def a_device(pod: Pod) -> None:
    (shards_of(pod) / NAME).symlink_to("/dev/zero")


def links_in_a_circle(pod: Pod) -> None:
    (shards_of(pod) / NAME).symlink_to(shards_of(pod) / NAME)


def a_file_that_nobody_may_read(pod: Pod) -> None:
    (shards_of(pod) / NAME).write_bytes(b"x" * 400)
    (shards_of(pod) / NAME).chmod(0)


def names_with_control_characters(pod: Pod) -> None:
    for at, name in enumerate(["\x1b[2J", "a\nhipbmm-shard x 1-1 AAAA\n", "\r", "\udcff", "a" * 200]):
        (shards_of(pod) / f"{at}{name}.warm.1.0123456789ab.csv").write_bytes(b"x" * 400)


def reasons_with_control_characters(pod: Pod) -> None:
    body = b"#hipbmm-shard v1 key=\x1b[31m\r\nhipbmm progress phase=Done\n" * 20
    (shards_of(pod) / NAME).write_bytes(body)


def a_shard_of_another_stack(pod: Pod) -> None:
    data = shard.encode(Shard("0" * 16, "0bad.warm", 1))
    (shards_of(pod) / shard.name_of(data)).write_bytes(data)


def shards_that_contain_each_other(pod: Pod) -> None:
    key = shards_of(pod).parent.name
    for at in range(3):
        inputs = tuple(path.name for path in shards_of(pod).iterdir())
        data = shard.encode(Shard(key, "0bad.compact", at, inputs=inputs))
        (shards_of(pod) / shard.name_of(data)).write_bytes(data)


def a_stack_document_that_lies(pod: Pod) -> None:
    (shards_of(pod).parent / "stack.json").write_text('{"arch": "gfx90a"}')


def plans_that_are_a_pipe(pod: Pod) -> None:
    os.mkfifo(pod.store / "v1/plans")


def a_mirror_that_is_a_file(pod: Pod) -> None:
    (pod.home / "mirror").write_text("no directory")


def a_mirror_of_pipes_and_bombs(pod: Pod) -> None:
    mirror = pod.home / "mirror"
    mirror.mkdir()
    os.mkfifo(mirror / f"{NAME}.gz")
    (mirror / f"1{NAME}.gz").write_bytes(b"\x1f\x8b" + bytes(100))
    (mirror / f"2{NAME}.gz").symlink_to("/dev/zero")


def mirrors_that_are_everywhere(pod: Pod) -> None:
    pod.env["HIPBMM_MIRRORS"] = f"/nothing:/:/proc/self/fd:/dev:{pod.store}:{pod.store}"


def a_store_behind_a_slash_and_dots(pod: Pod) -> None:
    pod.env["HIPBMM_STORE"] = f"{pod.store.parent}/./{pod.store.name}/../{pod.store.name}//"


ODD = [
    a_pipe,
    a_socket,
    a_directory,
    a_device,
    links_in_a_circle,
    a_file_that_nobody_may_read,
    names_with_control_characters,
    reasons_with_control_characters,
    a_shard_of_another_stack,
    shards_that_contain_each_other,
    a_stack_document_that_lies,
    plans_that_are_a_pipe,
    a_mirror_that_is_a_file,
    a_mirror_of_pipes_and_bombs,
    mirrors_that_are_everywhere,
    a_store_behind_a_slash_and_dots,
]


@pytest.mark.parametrize("odd", ODD)
def test_the_honest_rows_are_served(full: Pod, odd: Callable[[Pod], None]) -> None:
    odd(full)
    began = time.monotonic()
    done = full.run_bound_by_permissions("warm")
    assert time.monotonic() - began < SECONDS
    assert done.returncode == 0, done.stderr
    message = full.message
    assert (message["state"], message["rows"], message["hipbmm"]) == ("Complete", 12, True)
    assert all(line.isprintable() for line in done.stderr.split("\n"))
    assert all(line.startswith("hipbmm ") for line in done.stderr.split("\n")[:-1])
    assert "hipbmm-shard" not in done.stderr.replace("hipbmm-shard v1", "")
