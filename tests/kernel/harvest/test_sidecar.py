"""The sidecar answers, and its metrics say what happens."""

import json
import signal
import socket
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.harvest.learning import LEARNED, append, line, pairs, stored
from tests.kernel.pods import Pod
from tests.ports import free_port

from hipbmm_kernel.harvest import http
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.system.clock import Clock


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


def test_pods_of_another_user_and_the_same_group_may_write_beside_it(sidecar: tuple[Pod, int], a_stack: Stack) -> None:
    pod, _ = sidecar
    append(pod, line(LEARNED[0]))
    until(lambda: stored(pod, a_stack) == pairs(LEARNED[0]))
    made = [path for path in (pod.store / "v1").rglob("") if path.is_dir()]
    assert len(made) == len(("v1", "key", "shards"))
    assert all(path.stat().st_mode & stat.S_IWGRP for path in made)


def test_a_taken_port_costs_the_metrics_only(served: Pod, port: int, a_stack: Stack) -> None:
    with socket.create_server(("", port)):
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
