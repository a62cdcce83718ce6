"""Which numbers of tokens this server's GEMMs see, asked of the graph dispatcher of the image's own runner.

In the child only. A batch of M tokens either replays a graph of a captured size, or runs eagerly with its own M; both
are found by asking the dispatcher for every M that AITER looks up, once as a batch with a prefill and once, where M
is a whole number of decode steps, as a uniform one. What is captured runs eagerly once before its capture.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from hipbmm_kernel.image import single_process
from hipbmm_kernel.rows.gemm import MAX_M

Dispatch = Callable[..., tuple[int, bool]]
"""`dispatch(tokens, requests, uniform=...)`: how many tokens run for a batch, and whether a graph is replayed."""


def of(config: Any, notes: list[str]) -> dict[str, tuple[int, ...]]:
    """The fields of an answer with sizes; the model has been built, as its attention layers decide on the graph mode.

    `captured` are vLLM's own sizes, `planned` every M up to 512 that runs, `eager` those without a graph.
    """
    newest = bool(config.use_v2_model_runner)
    drafts = config.speculative_config  # without the attribute the plan would be one without speculation: it must fail
    query = 1 + (int(drafts.num_speculative_tokens or 0) if drafts is not None else 0)
    mode = _resolved_mode(config, query, newest, notes)
    dispatch, captures = (_second_runner if newest else _first_runner)(config, mode, query)
    batched = int(config.scheduler_config.max_num_batched_tokens)
    sequences = int(config.scheduler_config.max_num_seqs)
    graphs: set[int] = set()
    eager: set[int] = set()
    parts = _parts(config.parallel_config)
    for tokens in range(1, min(MAX_M * parts + parts - 1, batched) + 1):
        answers = [(dispatch(tokens, min(tokens, sequences), uniform=False), False)]
        if tokens % query == 0 and tokens // query <= sequences:
            answers.append((dispatch(tokens, tokens // query, uniform=True), True))
        for (size, graphed), uniform in answers:
            (graphs if graphed else eager).update(_split(config.parallel_config, size, tokens, parts, uniform=uniform))
    graphs |= captures
    # Without a graph start-up itself runs the sampler's dummy batch, and what is compiled for one size.
    compiled = {size for size in config.compilation_config.compile_sizes or [] if isinstance(size, int)}
    eager |= {min(sequences, batched), *compiled} - graphs
    found = graphs | eager
    planned = tuple(sorted(size for size in found if 0 < size <= MAX_M))
    return {
        "captured": tuple(sorted(int(size) for size in config.compilation_config.cudagraph_capture_sizes or [])),
        "planned": planned,
        "eager": tuple(size for size in planned if size in eager),
    }


def _parts(parallel: Any) -> int:
    """Into how many parts batches are split: ranks of data parallelism overlap them (`--enable-dbo`)."""
    splits = parallel.use_ubatching and parallel.data_parallel_size > 1
    return int(parallel.num_ubatches) if splits else 1


def _split(parallel: Any, size: int, tokens: int, parts: int, *, uniform: bool) -> set[int]:
    """The sizes that run for a batch of `tokens` that is padded to `size`: it, and its parts where it is split.

    One that might be split still runs whole where another rank has too few tokens. 0.23.0 to 0.33.0.
    """
    if parts == 1:
        return {size}
    splits = importlib.import_module("vllm.v1.worker.ubatch_utils").check_ubatch_thresholds
    if not splits(parallel, tokens, uniform_decode=uniform):
        return {size}
    return {size, size // parts, size - size // parts * (parts - 1)}


def _resolved_mode(config: Any, query: int, newest: bool, notes: list[str]) -> Any:
    """The graph mode after the attention backends had their say, as the runners resolve it."""
    compilation = config.compilation_config
    support, backend = _attention_support(config, notes)
    resolve = getattr(compilation, "resolve_cudagraph_mode_and_sizes", None)
    if support is None or resolve is None:
        return compilation.cudagraph_mode
    ranks = config.parallel_config.tensor_parallel_size
    options = _known(resolve, uniform_decode_query_len=query, use_v2_model_runner=newest, tensor_parallel_size=ranks)
    return resolve(support, backend, **options)


def _known(function: Callable[..., Any], **options: object) -> dict[str, object]:
    """Those of the options that a function of this version has."""
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}


def _attention_support(config: Any, notes: list[str]) -> tuple[Any, str | None]:
    """The least support for graphs among the attention layers' backends, and that backend's name."""
    attention = importlib.import_module("vllm.v1.attention.backend")
    least, name = attention.AttentionCGSupport.ALWAYS, None
    for layer in (config.compilation_config.static_forward_context or {}).values():
        ask = getattr(layer, "get_attn_backend", None)
        if ask is None:
            continue
        try:
            backend = ask()
            found = backend.get_builder_cls().get_cudagraph_support(config, layer.get_kv_cache_spec(config))
        except Exception as error:  # noqa: BLE001 - any backend's own code, whose answer is a refinement only
            notes.append(f"attention backend not asked about graphs: {type(error).__name__}: {str(error)[:120]}")
            return None, None
        if found.value < least.value:
            least, name = found, backend.__name__
    return least, name


def _first_runner(config: Any, mode: Any, query: int) -> tuple[Dispatch, set[int]]:
    """The V1 runner's CudagraphDispatcher (0.23.0 to 0.33.0), and what it captures at start-up."""
    module = importlib.import_module("vllm.v1.cudagraph_dispatcher")
    none = importlib.import_module("vllm.config").CUDAGraphMode.NONE
    dispatcher = module.CudagraphDispatcher(config)
    dispatcher.initialize_cudagraph_keys(mode, query)

    def dispatch(tokens: int, _: int, *, uniform: bool) -> tuple[int, bool]:
        found, batch = dispatcher.dispatch(num_tokens=tokens, uniform_decode=uniform)
        return int(batch.num_tokens), found != none

    keys = [key for keys in dispatcher.cudagraph_keys.values() for key in keys]
    return dispatch, {int(key.num_tokens) for key in keys}


def _second_runner(config: Any, mode: Any, query: int) -> tuple[Dispatch, set[int]]:
    """The V2 runner's CudaGraphManager (0.23.0 to 0.33.0), which is to believe that it has captured its graphs."""
    module = importlib.import_module("vllm.v1.worker.gpu.cudagraph_utils")
    torch = importlib.import_module("torch")
    none = importlib.import_module("vllm.config").CUDAGraphMode.NONE
    with single_process.graph_pool():
        manager = module.CudaGraphManager(config, torch.device(single_process.META), mode, query)
    manager._graphs_captured = True
    options = _known(manager.dispatch, num_active_loras=0, max_query_len=None)

    def dispatch(tokens: int, requests: int, *, uniform: bool) -> tuple[int, bool]:
        found = manager.dispatch(requests, tokens, query if uniform else None, **options)
        return int(found.num_tokens), found.cg_mode != none

    captured = [item for items in manager._capture_descs.values() for item in items]
    return dispatch, {int(item.num_tokens) for item in captured}
