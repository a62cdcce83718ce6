"""The part of `vllm serve`'s command line that decides what the server does.

The rest is accepted and has no effect here.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Defaults of vLLM 0.33 for the API server on a GPU with 160 GiB or more.
_MAX_NUM_SEQS = 1024
_MAX_NUM_BATCHED_TOKENS = 16384


@dataclass(frozen=True, slots=True)
class ServeArguments:
    """What `vllm serve` was asked for. ``capture_sizes`` and ``max_capture_size`` are None when not given."""

    model: str
    served_model_names: tuple[str, ...]
    host: str
    port: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    max_num_seqs: int
    max_num_batched_tokens: int
    capture_sizes: tuple[int, ...] | None
    max_capture_size: int | None
    enforce_eager: bool
    quantization: str | None
    dtype: str
    num_speculative_tokens: int
    performance_mode: str


def parse(arguments: Sequence[str]) -> ServeArguments:
    """Parse what follows `vllm serve`. Exits with status 2 and a usage line on a value of the wrong type."""
    known, _ = _parser().parse_known_args([_dashed(argument) for argument in arguments])
    compilation = _json_object(known.compilation_config)
    speculation = _json_object(known.speculative_config)
    sizes = known.cudagraph_capture_sizes or compilation.get("cudagraph_capture_sizes")
    model = known.model_tag or known.model
    eager = known.enforce_eager or str(compilation.get("cudagraph_mode", "")).upper() == "NONE"
    return ServeArguments(
        model=model,
        served_model_names=tuple(known.served_model_name or [model]),
        host=known.host or "0.0.0.0",  # noqa: S104 - vLLM listens on all addresses
        port=known.port,
        tensor_parallel_size=known.tensor_parallel_size,
        pipeline_parallel_size=known.pipeline_parallel_size,
        max_num_seqs=known.max_num_seqs,
        max_num_batched_tokens=known.max_num_batched_tokens,
        capture_sizes=None if sizes is None else tuple(int(size) for size in sizes),
        max_capture_size=known.max_cudagraph_capture_size or compilation.get("max_cudagraph_capture_size"),
        enforce_eager=eager,
        quantization=known.quantization,
        dtype=known.dtype,
        num_speculative_tokens=int(speculation.get("num_speculative_tokens", 0)),
        performance_mode=known.performance_mode,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False)
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model", default="Qwen/Qwen3-0.6B")
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--tensor-parallel-size", "-tp", type=int, default=1)
    parser.add_argument("--pipeline-parallel-size", "-pp", type=int, default=1)
    parser.add_argument("--max-num-seqs", type=int, default=_MAX_NUM_SEQS)
    parser.add_argument("--max-num-batched-tokens", type=int, default=_MAX_NUM_BATCHED_TOKENS)
    parser.add_argument("--cudagraph-capture-sizes", type=int, nargs="+")
    parser.add_argument("--max-cudagraph-capture-size", type=int)
    parser.add_argument("--compilation-config", "-cc", "-O", default="{}")
    parser.add_argument("--speculative-config", default="{}")
    parser.add_argument("--enforce-eager", action="store_true")
    parser.add_argument("--quantization", "-q")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--performance-mode", default="balanced")
    return parser


def _dashed(argument: str) -> str:
    """VLLM takes underscores for dashes in the names of its flags."""
    name, separator, value = argument.partition("=")
    return name.replace("_", "-") + separator + value if name.startswith("--") else argument


def _json_object(text: str) -> dict[str, Any]:
    """A JSON object; ``-O3`` and other shorthands of the compilation level hold nothing of interest."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
