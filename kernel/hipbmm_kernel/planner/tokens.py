"""Which numbers of tokens (M) a server's GEMMs see, by vLLM's version and flags.

vLLM captures graphs for a list of sizes and pads every decode batch to the next one; before each capture it runs the
same M eagerly, and there AITER looks its row up. Above the largest captured size every M runs as it comes. AITER looks
nothing up above 512. Source: `_set_cudagraph_sizes` of config/vllm.py in 0.23.0 to 0.33.0, `CudaGraphManager` of the
V2 runner and `adjust_cudagraph_sizes_for_spec_decode` of the V1 runner. Older versions have no HIPBMM kernel.
"""

from typing import NamedTuple

from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.server_flags import FULL, FULL_DECODE_ONLY, NONE, PIECEWISE, ServerFlags
from hipbmm_kernel.planner.vllm_version import NEWEST, Version
from hipbmm_kernel.rows import gemm

DEFAULT_MAX_NUM_SEQS = 1024
"""On GPUs of at least 70 GiB, which every MI3xx has."""

DEFAULT_MAX_NUM_BATCHED_TOKENS = {Version(0, 0): 8192, Version(0, 28): 16384}
"""The API server's by the first version that has it, on GPUs of at least 160 GiB (8192 in 0.23, 16384 in 0.28)."""

GRAPH_LIMIT = 512
"""Largest size that vLLM captures by default."""

_FINE_LIMIT = 32
_STEP_8_END = 256

_COVERS_SEQUENCES = Version(0, 29)
"""From it on `max_num_seqs` and the sizes of speculative batches join the list (absent in 0.28)."""

_PADS_SEQUENCES = Version(0, 32)
"""From it on sequence parallelism takes sizes that are no multiple of the ranks (absent in 0.31)."""

_SECOND_RUNNER_DRAFTS = {
    Version(0, 24): ("eagle", "dflash", "dspark"),
    Version(0, 29): ("mtp",),
    Version(0, 32): ("ngram",),
    Version(0, 33): ("medusa", "mlp_speculator"),
    Version(1000, 0): ("suffix", "custom_class"),
}
"""The first version whose V2 runner drafts in these ways; V1 rounds its list (read in 0.23 to 0.33)."""
_DRAFT_MODELS = Version(0, 31)
"""The same for all others."""
_RUNNER_BY_MODEL = (Version(0, 24), Version(0, 29))
"""From the one to before the other, models with experts or recurrent layers have the V1 runner."""
_FIRST_RUNNER_MODELS = ("DeepseekV32ForCausalLM", "DeepseekV4ForCausalLM", "GlmMoeDsaForCausalLM")
_FIRST_RUNNER_VERSIONS = (Version(0, 29), Version(0, 32))
"""Models that have the V1 runner on ROCm where nothing else is asked for, from the one to before the other."""


class Tokens(NamedTuple):
    """The tokens of a server.

    `captured` is vLLM's own list (all sizes), `planned` every M to tune in rising order, `eager` those of `planned`
    that no captured graph covers: they are looked up while serving.
    """

    captured: tuple[int, ...]
    planned: tuple[int, ...]
    eager: frozenset[int]


def plan(flags: ServerFlags, version: Version = NEWEST, override: tuple[int, ...] = ()) -> Tokens:
    """The tokens of a server with `flags`; `override` replaces them all, as `spec.tuning.tokens` does."""
    captured = captured_sizes(flags, version) if flags.graph_mode != NONE else ()
    if override:
        return overridden(Tokens(captured, (), frozenset()), override)
    sequences, batched = _most(flags, version)
    graphs = set(captured) | _uniform_sizes(flags, captured, sequences)
    # Without a graph for batches with a prefill those run with their own M, whatever it is.
    decodes = flags.graph_mode == FULL_DECODE_ONLY
    first = 1 if decodes else max(graphs, default=0) + 1
    eager = {*range(first, gemm.MAX_M + 1), min(sequences, batched), *flags.compile_sizes}
    most = min(gemm.MAX_M, max(batched, max(graphs, default=0)))
    planned = tuple(size for size in sorted(graphs | eager) if 0 < size <= most)
    return Tokens(captured, planned, frozenset(planned) - (set() if decodes else graphs))


def _most(flags: ServerFlags, version: Version) -> tuple[int, int]:
    """The most sequences and tokens of a batch; by default no more tokens than all sequences can have."""
    sequences = flags.max_num_seqs or DEFAULT_MAX_NUM_SEQS
    default = max(tokens for first, tokens in DEFAULT_MAX_NUM_BATCHED_TOKENS.items() if version >= first)
    return sequences, flags.max_num_batched_tokens or min(sequences * (flags.max_model_len or default), default)


def overridden(tokens: Tokens, override: tuple[int, ...]) -> Tokens:
    """Tokens with those of a user in place of the server's own."""
    planned = tuple(sorted({size for size in override if 0 < size <= gemm.MAX_M}))
    return Tokens(tokens.captured, planned, frozenset(planned) - set(tokens.captured))


def thinned(tokens: Tokens) -> Tokens:
    """Tokens of a server that pads the sizes in between: of the eager ones those on the grid, and the largest."""
    most = max(tokens.planned, default=0)
    grid = _grid(GRAPH_LIMIT, fine=False) | {most}
    planned = tuple(size for size in tokens.planned if size in grid or size not in tokens.eager)
    return tokens._replace(planned=planned, eager=tokens.eager.intersection(planned))


def captured_sizes(flags: ServerFlags, version: Version) -> tuple[int, ...]:
    """The list of sizes that vLLM itself computes, in rising order."""
    sequences, batched = _most(flags, version)
    if flags.capture_sizes:
        sizes = {size for size in flags.capture_sizes if size <= batched}
    else:
        query = 1 + flags.speculative_tokens
        largest = min(flags.max_capture_size or min(sequences * query * 2, GRAPH_LIMIT), batched)
        sizes = _grid(largest, fine=flags.performance_mode == "interactivity")
        if batched <= largest:
            sizes.add(batched)
        if version >= _COVERS_SEQUENCES and flags.max_capture_size is None:
            sizes |= {size for size in _decode_sizes(sequences, query) if size <= largest}
    tensor = flags.tensor_parallel or 1
    if flags.sequence_parallel and tensor > 1 and version < _PADS_SEQUENCES:
        sizes = {size for size in sizes if size % tensor == 0}
    if flags.speculative_tokens and _has_first_runner(flags, version) and flags.graph_mode != PIECEWISE:
        whole = _whole_queries(sizes, 1 + flags.speculative_tokens)
        if sizes and not whole:
            remedy = f"must reach {1 + flags.speculative_tokens} with speculation, or vLLM {version} does not start"
            raise ConfigInvalid("cudagraph_capture_sizes", max(sizes), remedy)
        sizes = whole
    return tuple(sorted(sizes))


def doubts(flags: ServerFlags, version: Version) -> tuple[str, ...]:
    """What is said of a server that drafts with a runner that its model decides on."""
    first, last = _RUNNER_BY_MODEL
    if not flags.speculative_tokens or flags.first_runner is not None or not first <= version < last:
        return ()
    runner = "V1" if _has_first_runner(flags, version) else "V2"
    return (f"vLLM {version} chooses the runner of a server that drafts by its model: planned as {runner}",)


def for_model(flags: ServerFlags, architecture: str, version: Version) -> ServerFlags:
    """The flags of a server of this model, with the runner that vLLM chooses by it (V1 cannot draft with DSpark)."""
    first, last = _FIRST_RUNNER_VERSIONS
    keeps = architecture in _FIRST_RUNNER_MODELS and first <= version < last and "dspark" not in flags.drafter.lower()
    return flags._replace(first_runner=True) if keeps and flags.first_runner is None else flags


def _has_first_runner(flags: ServerFlags, version: Version) -> bool:
    """Whether a server that drafts has the V1 runner."""
    if flags.first_runner is not None:
        return flags.first_runner
    drafter = flags.drafter.lower()
    since = (first for first, words in _SECOND_RUNNER_DRAFTS.items() if any(word in drafter for word in words))
    return version < next(since, _DRAFT_MODELS if flags.drafter else _RUNNER_BY_MODEL[0])


def _whole_queries(sizes: set[int], query: int) -> set[int]:
    """The list of the V1 runner with speculation: sizes become whole decode queries, and none grows beyond the largest.

    https://github.com/vllm-project/vllm/issues/28207
    """
    most = max(sizes, default=0)
    return {size for size in (-(-size // query) * query for size in sizes) if size <= most}


def _grid(largest: int, *, fine: bool) -> set[int]:
    """1, 2, 4 (or all up to 32), then steps of 8 up to 256, then steps of 16, up to `largest`."""
    first = range(1, min(largest, _FINE_LIMIT) + 1) if fine else (size for size in (1, 2, 4) if size <= largest)
    return {*first, *range(8, min(largest + 1, _STEP_8_END), 8), *range(_STEP_8_END, largest + 1, 16)}


def _decode_sizes(sequences: int, query: int) -> set[int]:
    """Sizes of decode batches in which every sequence has `query` tokens."""
    if query == 1:
        return {sequences}
    most = min(sequences, GRAPH_LIMIT)
    return {requests * query for requests in _grid(most, fine=False) | {most}}


def _uniform_sizes(flags: ServerFlags, captured: tuple[int, ...], sequences: int) -> set[int]:
    """With speculation both runners round a size up to whole decode queries and capture whole batches of that, too."""
    query = 1 + flags.speculative_tokens
    if query == 1 or flags.graph_mode in (PIECEWISE, FULL) or not captured:
        return set()
    rounded = {-(-size // query) * query for size in captured}
    return {size for size in rounded if size <= min(captured[-1], sequences * query)}
