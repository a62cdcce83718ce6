"""The part of `vllm serve`'s command line that decides what the server does. The rest is parsed and has no effect."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm import flexible

# Defaults of vLLM 0.33 for the API server on a GPU with 160 GiB or more.
_MAX_NUM_SEQS = 1024
_MAX_NUM_BATCHED_TOKENS = 16384
_NO_GRAPHS = "NONE"
_DECODE_ONLY = "FULL_DECODE_ONLY"
_GRAPHS = "FULL_AND_PIECEWISE"
_MODES = {0: _NO_GRAPHS, 1: "PIECEWISE", 2: "FULL"}
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

    @property
    def enforce_eager(self) -> bool:
        """Nothing is captured."""
        return self.cudagraph_mode == _NO_GRAPHS

    @property
    def decode_only(self) -> bool:
        """Batches with a prefill replay no graph."""
        return self.cudagraph_mode == _DECODE_ONLY

    @property
    def may_choose_hipbmm(self) -> bool:
        """The kernel is among those of the backend."""
        return self.linear_backend not in _BACKENDS_WITHOUT_KERNEL


def parse(arguments: Sequence[str]) -> ServeArguments:
    """Parse what follows `vllm serve`. Exits with status 2 and a usage line where vLLM's own parser does."""
    parser = flexible.parser()
    known = parser.parse_args(flexible.plain(arguments))
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
        max_capture_size=given.get("max_cudagraph_capture_size", compilation.get("max_cudagraph_capture_size")),
        cudagraph_mode=_mode(given, compilation),
        quantization=given.get("quantization"),
        dtype=given.get("dtype", "auto"),
        num_speculative_tokens=int(drafts),
        performance_mode=given.get("performance_mode", "balanced"),
        linear_backend=given.get("linear_backend", str(kernels.get("linear_backend", "auto")).lower()),
    )


def _mode(given: dict[str, Any], compilation: dict[str, Any]) -> str:
    """The graph mode; without compilation (`mode` 0) whole decode batches are all that can be captured."""
    if given.get("enforce_eager") or str(given.get("optimization_level")) == "0":
        return _NO_GRAPHS
    mode = compilation.get("cudagraph_mode")
    if mode is not None:
        return _MODES.get(mode, str(mode)).upper()
    return _DECODE_ONLY if compilation.get("mode") in (0, "0", _NO_GRAPHS) else _GRAPHS


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object. ValueError for other text."""
    value = json.loads(text or "{}")
    if not isinstance(value, dict):
        raise ValueError(f"{text!r} is not a JSON object")  # noqa: TRY004 - a wrong value
    return value
