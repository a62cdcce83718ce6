"""What a worker can be asked to do, in a process that has vLLM: each function takes and returns JSON."""

from __future__ import annotations

import contextlib
import importlib
import json
from typing import Any

from compat import dispatch, forward, recorder
from hipbmm_kernel.image import child, engine, single_process, sizes
from hipbmm_kernel.planner import answer

_PARSED = ("int", "float", "human_readable_int", "loads", "<lambda>")
"""Functions that parse a flag's text and refuse some, as vLLM names them. The lambda takes names in any case."""
_HEAVY = (
    *engine.PARSERS[:-1],  # the last one brings the whole server
    "vllm.engine.arg_utils",
    "vllm.model_executor.model_loader.utils",
    "vllm.model_executor.layers.linear",
    "vllm.model_executor.models.registry",
    "vllm.v1.cudagraph_dispatcher",
    "vllm.v1.worker.gpu.cudagraph_utils",
    "vllm.model_executor.models.config",
    "vllm.model_executor.models.llama",
    "vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors",
    "vllm.model_executor.layers.quantization.fp8",
    "vllm.model_executor.layers.quantization.modelopt",
    "vllm.model_executor.layers.quantization.quark.quark",
    "vllm.compilation.backends",
    "vllm.compilation.passes.pass_manager",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.worker.gpu_worker",
    "vllm.v1.attention.backends.rocm_attn",
    "vllm.v1.attention.backends.rocm_aiter_unified_attn",
    "vllm.v1.attention.backends.triton_attn",
    "torch._dynamo.backends.registry",
)
"""What nearly each job imports, which takes longer than the rest of it: half of the time of a whole run."""


def preload() -> None:
    """Import what every job needs, as far as this version has it."""
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def ask(*arguments: str) -> Any:  # noqa: ANN401 - JSON
    """The oracle's answer for a server with these arguments."""
    try:
        return json.loads(answer.encode(child.ask(arguments)))
    except engine.Refused as refused:
        return {"refused": str(refused)}


def ask_each(servers: list[list[str]]) -> Any:  # noqa: ANN401 - JSON
    """The same for several servers, one after another in this process, with `failed` for what vLLM raises."""
    found: list[Any] = []
    for arguments in servers:
        try:
            found.append(ask(*arguments))
        except Exception as error:  # noqa: BLE001 - vLLM's own code
            found.append({"failed": f"{type(error).__name__}: {str(error)[:300]}"})
    return found


def flags(*arguments: str) -> Any:  # noqa: ANN401 - JSON
    """What vLLM's own parser and configuration make of a command line, as far as plans depend on it."""
    notes: list[str] = []
    try:
        config = engine.config(arguments, notes)
    except engine.Refused as refused:
        return {"refused": str(refused)}
    compilation, scheduler = config.compilation_config, config.scheduler_config
    speculative = config.speculative_config
    single_process.groups(config.parallel_config)
    ran = sizes.of(config, notes)
    return {
        "tensor_parallel": config.parallel_config.tensor_parallel_size,
        "data_parallel": config.parallel_config.data_parallel_size,
        "expert_parallel": config.parallel_config.enable_expert_parallel,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
        "capture_sizes": sorted(compilation.cudagraph_capture_sizes or []),
        "mode": compilation.cudagraph_mode.name,
        "speculative_tokens": speculative.num_speculative_tokens if speculative else 0,
        "quantization": config.model_config.quantization,
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "linear_backend": _linear_backend(config.kernel_config),
        "planned": list(ran["planned"]),
        "eager": list(ran["eager"]),
        "notes": notes,
    }


def flags_of_each(folder: str, lines: list[list[str]]) -> Any:  # noqa: ANN401 - JSON
    """The same for several command lines, one after another in this process: most of the time is importing."""
    return [flags(folder, *line) for line in lines]


def _linear_backend(kernel: Any) -> str:  # noqa: ANN401 - vLLM's KernelConfig
    """The backend of FP8 linears, of which 0.33 may have one of their own."""
    own = getattr(kernel, "linear_backend_per_quant", None) or {}
    return str(own.get("fp8_w8a8") or kernel.linear_backend)


def options() -> Any:  # noqa: ANN401 - JSON
    """Every flag of `vllm serve`: its spellings, those that switch it off, how many values, their type and choices."""
    spellings: dict[int, tuple[Any, list[str]]] = {}
    parser: Any = engine.parser()
    for spelling, action in parser._option_string_actions.items():  # noqa: SLF001 - argparse's own table
        if action.dest != "help":
            spellings.setdefault(id(action), (action, []))[1].append(spelling)
    found = []
    for action, names in spellings.values():
        off = [name for name in names if name in getattr(action, "negative_option_strings", ())]
        kind = getattr(action.type, "__name__", "")
        choices = sorted(str(choice) for choice in action.choices or () if choice is not None)
        on = [name for name in names if name not in off]
        found.append([on, off, action.nargs, kind if kind in _PARSED else "", choices])
    return found


def record(*arguments: str) -> Any:  # noqa: ANN401 - JSON
    """How often vLLM makes its HIPBMM kernel for which (N, K), recorded where it is made, with vLLM's own groups.

    Nothing of the oracle's is used but the parsing of the command line: the process groups are vLLM's own
    GroupCoordinators over torch's fake backend, and what is counted are calls of the kernel's constructor.
    """
    torch = importlib.import_module("torch")
    config = engine.config(arguments, [])
    made = recorder.constructions()
    with contextlib.ExitStack() as stack:
        stack.enter_context(importlib.import_module("vllm.config").set_current_vllm_config(config))
        recorder.groups(config.parallel_config.tensor_parallel_size)
        config.device_config.device = torch.device("meta")
        importlib.import_module("vllm.v1.worker.workspace").init_workspace_manager(torch.device("meta"))
        stack.enter_context(single_process.meta_values())
        stack.enter_context(single_process.device_literals())
        model = recorder.build(config)
    counted = made()
    del model
    return sorted([n, k, count] for (n, k), count in counted.items())


def rows(tokens: list[int], *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """The rows that AITER writes for batches of so many tokens; the worker must have tensors on the CPU."""
    return forward.rows(tokens, *arguments)


def stack() -> str:
    """The stack of a worker, as a table has it."""
    return dispatch.stack()


def served(tokens: list[int], program: str, start: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """What AITER is asked with the table in memory; the worker must have tensors on the CPU."""
    return dispatch.served(tokens, program, start, *arguments)
