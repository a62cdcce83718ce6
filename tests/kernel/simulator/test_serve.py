"""The stand-in of `vllm serve`, as a process with a small model."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.simulator.programs import TABLE
from tests.ports import free_port, has_both_families

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

GROUP = {
    "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
    "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
}
MODEL = {
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_hidden_layers": 2,
    "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUP}},
}
ON = {"VLLM_ROCM_USE_AITER": "1", "VLLM_ROCM_USE_AITER_LINEAR": "1", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1"}
SMALL = ("--max-num-seqs", "8", "--max-num-batched-tokens", "1024")  # captures 1, 2, 4, 8 and 16
REFUSED = (({"model": "other", "prompt": "x"}, 404), ({"prompt": 7}, 400), ({"prompt": "x", "max_tokens": 9999}, 400))
Serve = Callable[..., Any]


class Server:
    """A running server and what it answers."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait(self) -> None:
        while True:
            assert self.process.poll() is None, self.log
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()  # noqa: S310 - loopback
            except OSError:
                time.sleep(0.2)
            else:
                return

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=120) as response:  # noqa: S310 - loopback
            body: bytes = response.read()
        return body.decode()

    def post(self, path: str, body: object) -> str:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())  # noqa: S310 - same
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - loopback
            answer: bytes = response.read()
        return answer.decode()

    def lookups(self) -> tuple[int, int]:
        lines = dict(line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if line.startswith("hipbmm_sim"))
        return int(lines["hipbmm_sim_lookup_hits_total"]), int(lines["hipbmm_sim_lookup_misses_total"])


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Serve:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(MODEL))

    @contextmanager
    def start(*flags: str, **env: str) -> Iterator[Server]:
        port = free_port()
        (tmp_path / "work").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(tmp_path / "model")]
        command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "small", *flags]
        with (tmp_path / "log").open("w") as log:
            options: Any = {"cwd": tmp_path / "work", "env": environment | env, "stdout": log, "stderr": log}
            process = subprocess.Popen(command, text=True, **options)
        try:
            yield Server(process, port, tmp_path / "log")
        finally:
            process.kill()
            process.wait()

    return start


def test_a_cold_start_tunes_a_warm_one_does_not_and_requests_are_answered(serve: Serve, tmp_path: Path) -> None:
    with serve(*SMALL, **ON) as server:
        server.wait()
        # 5 sizes x 4 linears missed and tuned eagerly, found again in the capture; then M = 8 once more.
        assert server.lookups() == (24, 20)
        assert "Selected AiterHipbMMPerTokenFp8ScaledMMLinearKernel for" in server.log
        assert '"cudagraph_capture_sizes": [1, 2, 4, 8, 16]' in server.log
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=120) == 0
        assert "Application shutdown complete." in server.log
    rows = (tmp_path / "work" / TABLE).read_text().splitlines()[1:]
    assert {tuple(row.split(",")[4:7]) for row in rows} == {
        (n, m, k)
        for m in ("1", "2", "4", "8", "16")
        for n, k in (("512", "256"), ("256", "256"), ("1024", "256"), ("256", "512"))
    }
    with serve(*SMALL, **ON) as server:
        server.wait()
        assert server.lookups() == (44, 0)
        answers(server)
        tunes_in_production(server)


@pytest.mark.skipif(not has_both_families(), reason="no sockets for both families")
def test_the_host_that_exec_adds_takes_both_families(serve: Serve) -> None:
    with serve(*SMALL, "--host", "::") as server:
        server.wait()  # by IPv4
        server.url = server.url.replace("127.0.0.1", "[::1]")
        assert json.loads(server.get("/v1/models"))["data"][0]["id"] == "small"


def answers(server: Server) -> None:
    assert json.loads(server.get("/v1/models"))["data"][0]["id"] == "small"
    body = {"model": "small", "prompt": "once upon a time", "max_tokens": 5}
    first, second = (json.loads(server.post("/v1/completions", body)) for _ in range(2))
    assert first["choices"] == second["choices"]
    assert first["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    events = server.post("/v1/completions", body | {"stream": True}).strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    text = "".join(json.loads(event.removeprefix("data: "))["choices"][0]["text"] for event in events[:-1])
    assert text == first["choices"][0]["text"]
    chat = {"messages": [{"role": "user", "content": "once upon a time"}], "max_tokens": 5}
    assert json.loads(server.post("/v1/chat/completions", chat))["choices"][0]["message"]["content"] == text
    for bad, code in REFUSED:
        with pytest.raises(urllib.error.HTTPError) as refused:
            server.post("/v1/completions", bad)
        refused.value.close()
        assert refused.value.code == code
    metrics = server.get("/metrics")
    assert 'vllm:num_requests_running{engine="0",model_name="small"} 0.0' in metrics
    assert 'vllm:iteration_tokens_total_count{engine="0",model_name="small"}' in metrics


def tunes_in_production(server: Server) -> None:
    """A prompt above the captured sizes runs eagerly with its own M."""
    before = server.lookups()
    server.post("/v1/completions", {"prompt": "word " * 100, "max_tokens": 3})
    assert server.lookups() == (before[0], before[1] + 4)
    server.post("/v1/completions", {"prompt": "word " * 100, "max_tokens": 3})
    assert server.lookups() == (before[0] + 4, before[1] + 4)


def test_without_the_flags_another_kernel_serves(serve: Serve, tmp_path: Path) -> None:
    with serve(*SMALL, HIP_ONLINE_TUNING="1", **(ON | {"VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0"})) as server:
        server.wait()
        assert server.lookups() == (0, 0)
        assert "Selected AiterHipbMM" not in server.log
    assert not (tmp_path / "work" / TABLE).exists()


@pytest.mark.parametrize(
    ("faults", "text"),
    [
        ("crash:on=server-start,table=without", "Engine core initialization failed"),
        ("exit:on=warm-up", "hipBLAS error"),
        ("no-solution", "found 0 valid solutions"),
    ],
)
def test_starts_that_fail(serve: Serve, faults: str, text: str) -> None:
    with serve(*SMALL, HIPBMM_SIM_FAULTS=faults, **ON) as server:
        assert server.process.wait(timeout=120) == 1
        assert text in server.log


def test_a_start_that_never_ends_dies_of_sigterm(serve: Serve) -> None:
    with serve(*SMALL, HIPBMM_SIM_FAULTS="never-ready", **ON) as server:
        while "shared memory broadcast" not in server.log:
            assert server.process.poll() is None, server.log
            time.sleep(0.2)
        with pytest.raises(urllib.error.URLError):
            server.get("/health")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=120) == -signal.SIGTERM
