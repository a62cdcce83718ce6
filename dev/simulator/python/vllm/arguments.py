"""The part of `vllm serve`'s command line that decides what the server does. The rest is parsed and has no effect."""

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm import config_file, flexible

# Defaults of vLLM 0.33 for the API server on a GPU with 160 GiB or more.
_MAX_NUM_SEQS = 1024
_MAX_NUM_BATCHED_TOKENS = 16384
_NO_GRAPHS = "NONE"
_DECODE_ONLY = "FULL_DECODE_ONLY"
_GRAPHS = "FULL_AND_PIECEWISE"
_PIECEWISE = "PIECEWISE"
_MODES = {0: _NO_GRAPHS, 1: _PIECEWISE, 2: "FULL"}
_LEVELS = {"0": _NO_GRAPHS, "1": _PIECEWISE}
_COMPILES = ("3", "VLLM_COMPILE")
_UNCOMPILED = {_PIECEWISE: _NO_GRAPHS, _GRAPHS: _DECODE_ONLY}
_FP8 = "fp8_w8a8"
_RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
_BACKENDS_WITHOUT_KERNEL = {"aiter", "torch"}  # other names have no FP8 kernel for ROCm: vLLM takes auto


@dataclass(frozen=True, slots=True)
class ServeArguments:
    """What `vllm serve` was asked for. ``capture_sizes`` and ``max_capture_size`` are None when not given."""

    model: str
    served_model_names: tuple[str, ...]
    host: str
    port: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    enable_expert_parallel: bool
    max_num_seqs: int
    max_num_batched_tokens: int
    capture_sizes: tuple[int, ...] | None
    max_capture_size: int | None
    cudagraph_mode: str
    quantization: str | None
    dtype: str
    num_speculative_tokens: int
    performance_mode: str
    linear_backend: str
    first_runner: bool
    chat_template: str | None

    @property
    def enforce_eager(self) -> bool:
        """Nothing is captured."""
        return self.cudagraph_mode == _NO_GRAPHS

    @property
    def decode_only(self) -> bool:
        """Batches with a prefill replay no graph."""
        return self.cudagraph_mode == _DECODE_ONLY

    @property
    def whole_batches(self) -> bool:
        """Graphs of whole decode batches are captured, beside those of pieces."""
        return self.cudagraph_mode != _PIECEWISE

    @property
    def may_choose_hipbmm(self) -> bool:
        """The kernel is among those of the backend."""
        return self.linear_backend not in _BACKENDS_WITHOUT_KERNEL


def parse(arguments: Sequence[str]) -> ServeArguments:
    """Parse what follows `vllm serve`. Exits with status 2 and a usage line where vLLM's own parser does."""
    parser = flexible.parser()
    known = parser.parse_args(flexible.plain(config_file.expanded(arguments)))
    try:
        return _served(known)
    except (ValueError, AttributeError) as error:
        parser.error(str(error))


def _served(known: Namespace) -> ServeArguments:
    given = vars(known)
    compilation = _object(given.get("compilation_config"))
    speculation = _object(given.get("speculative_config"))
    kernels = _object(given.get("kernel_config"))
    sizes = given.get("cudagraph_capture_sizes", compilation.get("cudagraph_capture_sizes"))
    model = given.get("model_tag") or given.get("model") or "Qwen/Qwen3-0.6B"
    factor = 2 if given.get("performance_mode") == "throughput" else 1
    batched = given.get("max_num_batched_tokens", _MAX_NUM_BATCHED_TOKENS * factor)
    largest = given.get("max_cudagraph_capture_size", compilation.get("max_cudagraph_capture_size"))
    drafts = given.get("spec_tokens", speculation.get("num_speculative_tokens", 0))
    return ServeArguments(
        model=model,
        served_model_names=tuple(given.get("served_model_name") or [model]),
        host=given.get("host") or "0.0.0.0",  # noqa: S104 - vLLM listens on all addresses
        port=given.get("port", 8000),
        tensor_parallel_size=given.get("tensor_parallel_size", 1),
        pipeline_parallel_size=given.get("pipeline_parallel_size", 1),
        enable_expert_parallel=given.get("enable_expert_parallel", False),
        max_num_seqs=given.get("max_num_seqs", min(_MAX_NUM_SEQS * factor, batched)),
        max_num_batched_tokens=batched,
        capture_sizes=None if sizes is None else tuple(int(size) for size in sizes),
        max_capture_size=None if largest is None else int(largest),
        cudagraph_mode=_mode(given, compilation),
        quantization=given.get("quantization"),
        dtype=given.get("dtype", "auto"),
        num_speculative_tokens=int(drafts),
        performance_mode=given.get("performance_mode", "balanced"),
        linear_backend=_backend(given, kernels),
        first_runner=not int(os.environ.get(_RUNNER, "1")),
        chat_template=given.get("chat_template"),
    )


def _backend(given: dict[str, Any], kernels: dict[str, Any]) -> str:
    """The backend of FP8 linears; `--linear-backend auto` leaves what the JSON flag says."""
    own = (kernels.get("linear_backend_per_quant") or {}).get(_FP8)
    flag = given.get("linear_backend", "auto")
    return str(own or (flag if flag != "auto" else kernels.get("linear_backend", "auto"))).lower()


def _mode(given: dict[str, Any], compilation: dict[str, Any]) -> str:
    """The graph mode; without compilation whole decode batches are all that can be captured."""
    if "enable_sp" in (compilation.get("pass_config") or {}):
        raise ValueError("pass_config has no enable_sp")
    if given.get("enforce_eager"):
        return _NO_GRAPHS
    level = str(given.get("optimization_level"))
    mode = compilation.get("cudagraph_mode")
    mode = _LEVELS.get(level, _GRAPHS) if mode is None else _MODES.get(mode, str(mode)).upper()
    compiled = compilation.get("mode")
    compiles = level != "0" if compiled is None else str(compiled) in _COMPILES
    return mode if compiles else _UNCOMPILED.get(mode, mode)


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object. ValueError for other text."""
    value = json.loads(text or "{}")
    if not isinstance(value, dict):
        raise ValueError(f"{text!r} is not a JSON object")  # noqa: TRY004 - a wrong value
    return value
