"""`vllm serve`: load, warm up, then answer HTTP until a signal; what fails on the way ends it as it ends vLLM."""

import json
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from aiter_simulator import faults, table

from vllm import __version__, layers, linears, model_config, rocm
from vllm.api import ApiServer
from vllm.arguments import ServeArguments
from vllm.capture import Graphs, capture_sizes, captured
from vllm.engine import Engine
from vllm.log import LOGGER
from vllm.metrics import Metrics
from vllm.plugins import load_general_plugins
from vllm.warmup import warm_up


class EngineStartError(RuntimeError):
    """What the API server says when its engine did not start."""


def serve(arguments: ServeArguments) -> None:
    """Run the server. Raises what stopped the engine; returns after SIGTERM or SIGINT."""
    rocm.prepare_environment()
    load_general_plugins()
    LOGGER.info("vLLM API server version %s (simulated)", __version__)
    sizes = capture_sizes(arguments)
    LOGGER.info("non-default args: %s", asdict(arguments))
    config = model_config.load(arguments.model)
    _open_chat_template(arguments.chat_template)
    _announce(arguments, sizes)
    _order_start_failures()
    rank = _rank(config, arguments)
    warm_up(rank, arguments, captured(arguments))
    if faults.find("never-ready", on="server-start", table=table.state()):
        _never_ready()
    metrics = Metrics(arguments.served_model_names[0])
    engine = Engine(rank, Graphs(tuple(sizes), arguments.decode_only), metrics)
    _run(ApiServer((arguments.host, arguments.port), arguments.served_model_names, engine, metrics))


def _open_chat_template(name: str | None) -> None:
    """A file, from the working directory; what looks like Jinja is the template itself (entrypoints/chat_utils.py)."""
    if name and not set("{}\n") & set(name):
        try:
            Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(
                f"The supplied chat template ({name}) looks like a file path, but it failed to be opened. {error}"
            ) from error


def _announce(arguments: ServeArguments, sizes: list[int]) -> None:
    compilation = {"cudagraph_capture_sizes": sizes, "max_cudagraph_capture_size": max(sizes, default=0)}
    LOGGER.info(
        "Initializing a V1 LLM engine (v%s) with config: model='%s', tensor_parallel_size=%d, "
        "pipeline_parallel_size=%d, enforce_eager=%s, compilation_config=%s",
        __version__,
        arguments.model,
        arguments.tensor_parallel_size,
        arguments.pipeline_parallel_size,
        arguments.enforce_eager,
        json.dumps(compilation),
    )


def _order_start_failures() -> None:
    state = table.state()
    faults.strike(on="server-start", table=state)
    if faults.find("crash", on="server-start", table=state):
        raise EngineStartError("Engine core initialization failed. See root cause above. Failed core proc(s): {}")


def _rank(config: dict[str, object], arguments: ServeArguments) -> layers.Rank:
    if arguments.enable_expert_parallel:
        raise linears.UnsupportedModelError("Number of experts in the model must be greater than 0")
    quantized = linears.is_per_token_per_channel(config, arguments.quantization)
    quantized = quantized and arguments.dtype not in ("half", "float16", "float", "float32")
    quantized = quantized and arguments.may_choose_hipbmm
    return layers.load(linears.linears(config, arguments.tensor_parallel_size), quantized=quantized)


def _never_ready() -> NoReturn:
    """Hang after loading, as an engine whose collective never completes; a signal ends it."""
    LOGGER.info("No available shared memory broadcast block found in 60 second.")
    while True:
        time.sleep(3600)


def _run(server: ApiServer) -> None:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="api")
    stop = threading.Event()
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)  # a handler that logs fails where the signal comes in the middle of a line of the log
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    thread.start()
    LOGGER.info("Starting vLLM API server on http://%s:%d", *server.server_address[:2])
    LOGGER.info("Application startup complete.")
    stop.wait()
    LOGGER.info("Received %s, shutting down", signal.Signals(received[0]).name)
    server.shutdown()
    server.server_close()
    server.metrics.wait_idle()
    LOGGER.info("Application shutdown complete.")
