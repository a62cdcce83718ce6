"""The sidecar: what the server learns reaches the store once, whole, and the metrics say so."""

import errno
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume, failing_always
from tests.kernel.pods import Pod, row, rows
from tests.ports import free_port

from hipbmm_kernel.harvest import http
from hipbmm_kernel.harvest.harvester import Harvester
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

SERVED = tuple(each._replace(kernel_name="-") for each in rows(10))
LEARNED = tuple(row(m=1 + at, n=4096, index=900 + at) for at in range(6))


def line(learned: Row) -> str:
    return f"{learned.key},{learned.algo_index},{learned.kernel_name}\n"


@pytest.fixture
def served(pod: Pod, a_stack: Stack) -> Pod:
    """A pod whose server has started with ten rows."""
    pod.served_file.parent.mkdir(parents=True)
    pod.served_file.write_bytes(aiter_csv.format_rows(SERVED))
    report = {"v": 1, "state": "Complete", "rows": 10, "geomean": "1.11", "stackDocument": a_stack.document()}
    (pod.home / "report.json").write_text(json.dumps({**report, "key": a_stack.key, "reason": "Restored"}))
    return pod


def append(pod: Pod, text: str) -> None:
    with pod.served_file.open("a") as file:
        file.write(text)


def harvester(pod: Pod, volume: Volume | None = None, lines: list[str] | None = None) -> Harvester:
    told: list[str] = [] if lines is None else lines
    return Harvester(pod.settings(), volume or Volume(), Clock(), told.append)


def stored(pod: Pod, stack: Stack) -> set[tuple[str, int]]:
    reader = store.Reader(Volume(), FakeClock(), stack.key, 1.0)
    merged = table.merge(reader.shards(str(pod.store)))
    assert reader.reading.refused_count == 0
    return {(row.key, row.algo_index) for row in merged.winners()}


def pairs(*learned: Row) -> set[tuple[str, int]]:
    return {(each.key, each.algo_index) for each in learned}


def names(pod: Pod) -> list[str]:
    return sorted(path.name for path in pod.store.glob("v1/*/shards/*"))


def test_rows_that_were_served_are_no_news(served: Pod, a_stack: Stack) -> None:
    harvest = harvester(served)
    harvest.turn()
    harvest.finish(5.0)
    assert stored(served, a_stack) == set()
    assert harvest.harvested == 0


def test_learned_rows_reach_the_store_unverified_and_once(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    append(served, line(LEARNED[1]))
    harvest.turn()
    harvest.turn()
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])
    found = [shard.decode(path.read_bytes()) for path in served.store.glob("v1/*/shards/*")]
    assert sorted(each.algo_index for each in sum((one.rows for one in found), ())) == [900, 901]
    assert not any(each.verified for one in found for each in one.rows)
    assert all(one.origin == "pod-a.harvest" for one in found)


@pytest.mark.parametrize("cut", range(1, len(line(LEARNED[0])), 7))
def test_a_torn_line_waits_until_it_is_whole(served: Pod, a_stack: Stack, cut: int) -> None:
    text = line(LEARNED[0])
    append(served, text[:cut])
    harvest = harvester(served)
    harvest.turn()
    assert harvest.harvested == 0
    append(served, text[cut:])
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])
    assert harvest.rejected == {}


def test_a_restarted_sidecar_publishes_nothing_twice_and_loses_nothing(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvester(served).finish(5.0)
    before = names(served)
    append(served, line(LEARNED[1]))
    harvester(served).finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])
    assert len(names(served)) == len(before) + 1
    harvester(served).finish(5.0)
    assert len(names(served)) == len(before) + 1


def test_rows_that_the_volume_refused_are_published_after_a_restart(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    told: list[str] = []
    refused = harvester(served, OnlyTheStoreFails(failing_always("create", errno.ENOSPC)), told)
    refused.finish(2.0)
    assert stored(served, a_stack) == set()
    assert any("ENOSPC" in text for text in told)
    harvester(served).finish(5.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


class OnlyTheStoreFails(FaultyVolume):
    """The pod's own disk works."""

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        return Volume.create(self, path, mode) if at is None else super().create(path, mode, at)


def test_a_replaced_file_is_read_again(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    fresh = served.served_file.with_name("fresh")
    fresh.write_bytes(aiter_csv.format_rows([LEARNED[1]]))
    fresh.rename(served.served_file)
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:2])


def test_a_file_that_is_cut_and_grows_again_loses_nothing(served: Pod, a_stack: Stack) -> None:
    """The same inode, and longer than what was read of it: only the bytes say that it is another file."""
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    size = served.served_file.stat().st_size
    with served.served_file.open("wb") as file:
        file.write(aiter_csv.format_rows([*LEARNED[1:4], *SERVED]))
    assert served.served_file.stat().st_size > size
    append(served, line(LEARNED[4]))
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:5])


def test_a_reused_inode_is_another_file_to_a_sidecar_that_starts_again(served: Pod, a_stack: Stack) -> None:
    append(served, line(LEARNED[0]))
    harvester(served).finish(5.0)
    with served.served_file.open("wb") as file:
        file.write(aiter_csv.format_rows([*SERVED, *LEARNED[1:6]]))
    harvester(served).finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:6])


def test_one_bad_line_costs_that_line(served: Pod, a_stack: Stack) -> None:
    bad = ("<<<<<<< HEAD", "=======", "\0" * 300, gemm.HEADER.replace(" m, n,", " n, m,"), "{}", "<html>", "\x1b[2J")
    append(served, "".join(f"{text}\n{line(learned)}" for text, learned in zip(bad, LEARNED, strict=False)))
    harvest = harvester(served)
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(*LEARNED[:6])
    assert sum(harvest.rejected.values()) == 6


def test_rows_that_no_plan_names_are_counted(served: Pod) -> None:
    report = json.loads((served.home / "report.json").read_text())
    planned = [{"problem": gemm.label(LEARNED[0].problem), "reason": "vetoed"}]
    (served.home / "report.json").write_text(json.dumps({**report, "failures": planned}))
    append(served, line(LEARNED[0]) + line(LEARNED[1]))
    harvest = harvester(served)
    harvest.finish(5.0)
    assert (harvest.harvested, harvest.unplanned) == (2, 1)


ODD = [
    "",
    "[]",
    "null",
    '{"device": true, "inode": 1, "offset": 1}',
    '{"device": 1, "inode": 1, "offset": 1e3}',
    '{"device": 1, "inode": 1, "offset": -1}',
    '{"device": 1, "inode": 1, "offset": 99999999999999999999999}',
    '{"offset": 1, "inode": "x"}',
    "9" * 5000,
    "[" * 100_000,
    '{"device": NaN, "inode": Infinity, "offset": 1}',
    '{"before": {"x": 1}, "device": 0, "inode": 0, "offset": 0}',
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_memory_of_a_place_means_from_the_beginning(served: Pod, a_stack: Stack, text: str) -> None:
    (served.home / "harvest.json").write_text(text)
    append(served, line(LEARNED[0]))
    harvester(served).finish(5.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


def test_hostile_and_foreign_lines_are_counted_and_never_published(served: Pod, a_stack: Stack) -> None:
    ocp = row(m=3)._replace(key=gemm.key_of(gemm.Problem(3, 256, 512), gemm.OTHER))
    append(served, f"{row().key},-1,KERN\n" + "garbage\n" + line(ocp) + "a,b\n" + line(LEARNED[0]))
    harvest = harvester(served)
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])
    assert sum(harvest.rejected.values()) == 4
    assert harvest.rejected["foreign"] == 1
    assert set(harvest.rejected) <= {"foreign", "index", "columns", "name", "hole", "header", "other"}


def test_without_a_known_stack_nothing_is_published(served: Pod) -> None:
    (served.home / "report.json").write_text('{"stackDocument": null}')
    append(served, line(LEARNED[0]))
    harvester(served).finish(1.0)
    assert names(served) == []


def test_rows_of_another_gpu_than_the_stack_says_are_not_published(served: Pod) -> None:
    report = json.loads((served.home / "report.json").read_text())
    (served.home / "report.json").write_text(json.dumps({**report, "state": "Failed", "reason": "StackMismatch"}))
    append(served, line(LEARNED[0]))
    harvester(served).finish(1.0)
    assert names(served) == []


def test_a_report_that_comes_late_is_found(served: Pod, a_stack: Stack) -> None:
    report = (served.home / "report.json").read_text()
    (served.home / "report.json").unlink()
    append(served, line(LEARNED[0]))
    harvest = harvester(served)
    harvest.turn()
    (served.home / "report.json").write_text(report)
    harvest.finish(5.0)
    assert stored(served, a_stack) == pairs(LEARNED[0])


@pytest.fixture
def port() -> int:
    return free_port()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def sidecar(served: Pod, port: int) -> Iterator[tuple[Pod, int]]:
    """A running sidecar; it is asked to stop at the end."""
    running = served.start("harvest", HIPBMM_METRICS_PORT=str(port), HIPBMM_HARVEST_SECONDS="0.1")
    with running:
        assert running.stderr is not None
        assert "watching" in running.stderr.readline()
        served.env["SIDECAR"] = str(running.pid)
        yield served, port
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) == 0


def until(condition: object, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():  # type: ignore[operator] # a function without arguments
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_the_sidecar_serves_metrics_and_probes(sidecar: tuple[Pod, int], a_stack: Stack) -> None:
    pod, port = sidecar
    append(pod, line(LEARNED[0]) + "garbage\n")
    until(lambda: stored(pod, a_stack) == pairs(LEARNED[0]))
    (pod.home / "state.json").write_text(json.dumps({"starts": 3, "crashes": 2, "mode": "NoTable"}))
    until(lambda: "hipbmm_shards_published_total 1\n" in get(port, "/metrics")[1])
    status, text = get(port, "/metrics")
    assert status == 200
    for expected in (
        "hipbmm_rows_served 10\n",
        "hipbmm_rows_harvested_total 1\n",
        "hipbmm_unplanned_rows_total 1\n",
        'hipbmm_rows_rejected_total{reason="columns"} 1\n',
        "hipbmm_shards_failed_total 0\n",
        "hipbmm_server_starts_total 3\n",
        "hipbmm_server_crashes_total 2\n",
        'hipbmm_server_mode{mode="NoTable"} 1\n',
        'hipbmm_server_mode{mode="Tuned"} 0\n',
        "hipbmm_speedup_geomean 1.11\n",
    ):
        assert expected in text
    assert get(port, "/healthz") == (200, "ok\n")
    assert get(port, "/readyz") == (200, "ok\n")
    assert get(port, "/nothing")[0] == 404


def test_odd_files_of_the_pod_leave_the_metrics_whole(sidecar: tuple[Pod, int]) -> None:
    pod, port = sidecar
    for text in (
        '{"starts": 1e999, "crashes": NaN, "mode": {"a": [1]}}',
        '{"starts": ' + "9" * 400 + ', "crashes": true, "mode": "\\ud800\\n\\"x"}',
        '{"rows": -Infinity, "geomean": "\u00b2", "key": "\\ud800", "state": ["x"], "failures": 7}',
        '{"rows": "10", "geomean": "1.1.1", "reason": "' + "r" * 100_000 + '", "failures": [[], {"problem": 3}]}',
        "[" * 50_000,
        "\udcff",
    ):
        for name in ("state.json", "report.json"):
            (pod.home / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        status, answer = get(port, "/metrics")
        assert status == 200
        assert "hipbmm_server_starts_total 0\n" in answer
        samples = [each for each in answer.split("\n") if each and not each.startswith("#")]
        assert all(float(each.rpartition(" ")[2]) >= 0 for each in samples)
        assert all(each.startswith("hipbmm_") for each in samples)


def test_held_connections_do_not_block_the_next_one(sidecar: tuple[Pod, int]) -> None:
    _, port = sidecar
    until(lambda: answers_while_all_are_held(port))  # sooner or later: a machine that stands still ends all of them


def answers_while_all_are_held(port: int) -> bool:
    """Whether there is an answer before the held connections end by themselves."""
    held = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(http.MAX_CONNECTIONS)]
    began = time.monotonic()
    answer = get(port, "/healthz")
    seconds = time.monotonic() - began
    for client in held:
        client.close()
    assert answer == (200, "ok\n")
    return seconds < http.CONNECTION_SECONDS


def test_the_sidecar_is_small(sidecar: tuple[Pod, int]) -> None:
    pod, port = sidecar
    get(port, "/metrics")
    status = Path(f"/proc/{pod.env['SIDECAR']}/status").read_text()
    resident = int(next(text for text in status.splitlines() if text.startswith("VmRSS")).split()[1])
    assert resident < 20 * 1024


def test_slow_and_broken_clients_do_not_delay_the_harvest(sidecar: tuple[Pod, int], a_stack: Stack) -> None:
    pod, port = sidecar
    clients = []
    for text in (b"", b"GET /met", b"\0\xff\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n", b"A" * 20_000) * 10:
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.sendall(text)
        clients.append(client)
    append(pod, line(LEARNED[0]))
    until(lambda: stored(pod, a_stack) == pairs(LEARNED[0]))
    for client in clients:
        client.close()
    until(lambda: get(port, "/healthz")[0] == 200)


def test_a_taken_port_costs_the_metrics_only(served: Pod, port: int, a_stack: Stack) -> None:
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True):
        running = served.start("harvest", HIPBMM_METRICS_PORT=str(port), HIPBMM_HARVEST_SECONDS="0.1")
        with running:
            append(served, line(LEARNED[0]))
            until(lambda: stored(served, a_stack) == pairs(LEARNED[0]))
            running.send_signal(signal.SIGTERM)
            assert running.wait(120) == 0


def test_requests_are_answered_while_there_is_more_of_the_file_to_read() -> None:
    server = http.HttpServer(0, Clock(), lambda _path: (200, "text/plain", b"fine"))
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as peer:
            peer.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            server.serve(0.0)
            assert peer.recv(4096).startswith(b"HTTP/1.0 200")
    finally:
        server.close()


def test_a_turn_reads_a_part_of_a_long_file_and_the_last_ones_end_in_time(served: Pod, a_stack: Stack) -> None:
    """Each turn keeps probes waiting, and a pod that is deleted has half a minute."""
    clock, lines = FakeClock(), list[str]()
    harvest = Harvester(served.settings(), Volume(), clock, lines.append)
    append(served, "this is no row\n" * 60_000 + line(LEARNED[0]))
    assert harvest.turn()
    assert sum(harvest.rejected.values()) < 20_000
    harvest.finish(-1.0)
    assert sum(harvest.rejected.values()) < 40_000
    assert clock.slept == []
    harvest.finish(60.0)
    assert harvest.harvested == 1


def test_many_rows_that_lost_their_line_ends_are_learned(served: Pod, a_stack: Stack) -> None:
    learned = [row(m=1 + at % 512, n=8192 + 16 * (at // 512), index=1000 + at) for at in range(3000)]
    append(served, "".join(map(line, learned)).replace("\n", "") + "\n" + line(LEARNED[0]))
    harvest = harvester(served)
    harvest.finish(60.0)
    assert stored(served, a_stack) == pairs(*learned, LEARNED[0])
