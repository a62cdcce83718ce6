"""The sidecar and the mirror: all that was learned, as lines of its log, seldom, each shard replacing the last."""

import base64
import gzip

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.harvest.learning import LEARNED, append, line
from tests.kernel.pods import Pod, row

from hipbmm_kernel.harvest.harvester import Harvester
from hipbmm_kernel.harvest.mirror_writer import INTERVAL, READ_SECONDS, MirrorWriter
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import mirror_log, shard
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.shards import newest_in_log


def announced(lines: list[str]) -> list[shard.Shard]:
    """The shards in a log, in order."""
    found: dict[str, bytes] = {}
    for text in lines:
        mark, name, _, piece = text.split(" ")
        assert mark == mirror_log.MARK
        found[name] = found.get(name, b"") + base64.b64decode(piece)
    return [shard.decode(gzip.decompress(data)) for data in found.values()]


def test_what_the_server_learns_is_announced_whole_and_seldom(served: Pod, a_stack: Stack) -> None:
    lines: list[str] = []
    clock = FakeClock()
    harvest = Harvester(served.settings(), Volume(), clock, lambda _: None, lines.append)
    harvest.turn()
    assert lines == []
    append(served, line(LEARNED[0]) + line(LEARNED[1]))
    harvest.turn()
    (first,) = announced(lines)
    assert (first.key, first.origin, first.inputs) == (a_stack.key, f"{served.root.name}.mirror", ())
    assert set(first.rows) == set(LEARNED[:2])

    append(served, line(LEARNED[2]))
    harvest.turn()
    clock.sleep(INTERVAL - 1)
    harvest.turn()
    assert len(announced(lines)) == 1
    clock.sleep(2)
    harvest.turn()
    _, second = announced(lines)
    assert set(second.rows) == set(LEARNED[:3])
    assert second.inputs == (shard.name_of(shard.encode(first)),)

    count = len(lines)
    clock.sleep(INTERVAL * 2)
    harvest.turn()
    assert len(lines) == count


@pytest.mark.parametrize("ended", [1.0, INTERVAL - 1, READ_SECONDS - 1, READ_SECONDS + 1])
def test_what_the_operator_may_not_have_read_is_announced_again(served: Pod, a_stack: Stack, ended: float) -> None:
    """By a container that starts again, whatever the first one has written: the log that ends is read by nobody."""
    clock = FakeClock()
    first, second = list[str](), list[str]()
    append(served, line(LEARNED[0]))
    harvest = Harvester(served.settings(), Volume(), clock, lambda _: None, first.append)
    harvest.turn()
    append(served, line(LEARNED[1]))
    harvest.turn()
    clock.sleep(ended)
    harvest.finish(60.0)
    again = Harvester(served.settings(), Volume(), clock, lambda _: None, second.append)
    again.finish(60.0)
    read = announced(first) if ended > READ_SECONDS else []
    published = {each for one in (*read, *announced(second)) for each in one.rows}
    assert published == set(LEARNED[:2])


@pytest.mark.parametrize("read", range(1, 5))
def test_a_mirror_holds_one_shard_of_a_sidecar_however_seldom_it_is_read(a_stack: Stack, read: int) -> None:
    lines, clock, content = list[str](), FakeClock(), Content()
    writer = MirrorWriter(shard.Shard(a_stack.key, "pod.mirror", 0), clock, lines.append)
    for at in range(12):
        writer.add([row(m=1 + at)])
        writer.turn()
        clock.sleep(INTERVAL)
        if at % read == 0:
            content = content.joined(newest_in_log("\n".join(lines), ["pod.mirror"]))
        assert len(content.shards) == 1


@pytest.mark.parametrize("life", [1.0, INTERVAL + 1, READ_SECONDS + 1])
def test_a_mirror_holds_one_shard_of_a_sidecar_however_often_it_ends(served: Pod, life: float) -> None:
    """Each container writes again what may not have been read, and does not know the others."""
    clock, content = FakeClock(), Content()
    for each in LEARNED:
        append(served, line(each))
        lines = list[str]()
        harvest = Harvester(served.settings(), Volume(), clock, lambda _: None, lines.append)
        for _ in range(2):
            harvest.turn()
            clock.sleep(life)
        harvest.finish(60.0)
        content = content.joined(newest_in_log("\n".join(lines), [f"{served.root.name}.mirror"]))
        assert len(content.shards) == 1
    (last,) = content.shards.values()
    assert set(shard.decode(gzip.decompress(last.packed)).rows) == set(LEARNED)


@pytest.mark.parametrize("kept", ["", "{}", "another key", "another pod", "cut", "vetoes"])
def test_what_is_no_shard_of_this_sidecar_is_not_gone_on_with(served: Pod, a_stack: Stack, kept: str) -> None:
    head = shard.Shard(a_stack.key, f"{served.root.name}.mirror", 9)
    other = {
        "another key": head._replace(key="0" * 16, rows=(row(m=7),)),
        "another pod": head._replace(origin="pod.mirror", rows=(row(m=7),)),
        "vetoes": head._replace(kind=shard.VETOES),
    }
    data = shard.encode(other.get(kept, head._replace(rows=(row(m=7),))))
    (served.home / "mirror.csv").write_bytes(data if kept in other else data[:-9] if kept == "cut" else kept.encode())
    lines = list[str]()
    append(served, line(LEARNED[0]))
    Harvester(served.settings(), Volume(), FakeClock(), lambda _: None, lines.append).finish(60.0)
    (one,) = announced(lines)
    assert (one.rows, one.inputs) == ((LEARNED[0],), ())


def test_a_container_that_starts_again_announces_greater_numbers(a_stack: Stack) -> None:
    lines: list[str] = []
    clock = FakeClock()
    for learned in LEARNED[:2]:
        writer = MirrorWriter(shard.Shard(a_stack.key, "pod.mirror", 0), clock, lines.append)
        writer.add([learned])
        writer.turn()
        clock.sleep(1)
    first, second = announced(lines)
    assert first.seq < second.seq


def test_no_more_than_one_shard_holds_is_announced(a_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_log, "MAX_LINES", 3)
    lines: list[str] = []
    writer = MirrorWriter(shard.Shard(a_stack.key, "pod.mirror", 0), FakeClock(), lines.append)
    writer.add(LEARNED)
    writer.turn()
    (found,) = announced(lines)
    assert len(found.rows) == 3


def test_a_name_that_is_too_long_for_the_mirror_is_left_out(a_stack: Stack) -> None:
    lines: list[str] = []
    writer = MirrorWriter(shard.Shard(a_stack.key, "pod.mirror", 0), FakeClock(), lines.append)
    writer.add([LEARNED[0]._replace(kernel_name="x" * 5000), LEARNED[1]])
    writer.turn()
    (found,) = announced(lines)
    assert {*found.rows} == {LEARNED[0]._replace(kernel_name="-"), LEARNED[1]}


def test_without_a_mirror_nothing_is_announced(served: Pod) -> None:
    logged: list[str] = []
    harvest = Harvester(served.settings(), Volume(), FakeClock(), logged.append)
    append(served, line(LEARNED[0]))
    harvest.turn()
    harvest.finish(60.0)
    assert not [text for text in logged if mirror_log.MARK in text]
