"""The batch sizes that vLLM 0.33 captures graphs for (config/vllm.py, _set_cudagraph_sizes)."""

from bisect import bisect_left
from typing import NamedTuple

from vllm.arguments import ServeArguments

_STEP_SMALL, _STEP_LARGE, _LARGE = 8, 16, 256
_CEILING = 512
_FINE = 32


class Graphs(NamedTuple):
    """The captured sizes, ascending; with ``decode_only`` for batches without a prefill."""

    sizes: tuple[int, ...]
    decode_only: bool

    def replayed(self, tokens: int, *, prefill: bool) -> int | None:
        """The captured size that a batch of ``tokens`` is padded to; None when it runs eagerly as it comes."""
        if not self.sizes or tokens > self.sizes[-1] or (prefill and self.decode_only):
            return None
        return self.sizes[bisect_left(self.sizes, tokens)]


def capture_sizes(arguments: ServeArguments) -> list[int]:
    """Ascending sizes; empty for eager mode. ValueError when two flags contradict each other."""
    if arguments.enforce_eager:
        return []
    limit = arguments.max_num_batched_tokens
    asked, largest = arguments.capture_sizes, arguments.max_capture_size
    if asked is not None:
        sizes = sorted({size for size in asked if size <= limit})
        if largest is not None and largest != max(sizes, default=0):
            raise ValueError(
                f"customized max_cudagraph_capture_size(={largest}) should be consistent with the max value of "
                f"cudagraph_capture_sizes(={max(sizes, default=0)})"
            )
        return _rounded(sizes, arguments)
    return _rounded(_default_sizes(arguments, largest), arguments)


def _rounded(sizes: list[int], arguments: ServeArguments) -> list[int]:
    """The V1 runner rounds the sizes of whole batches to decode queries, and keeps none above the largest."""
    query = 1 + arguments.num_speculative_tokens
    if query == 1 or not arguments.first_runner or not arguments.whole_batches:
        return sizes
    return sorted({whole for size in sizes if (whole := -(-size // query) * query) <= max(sizes)})


def _default_sizes(arguments: ServeArguments, largest: int | None) -> list[int]:
    limit, query = arguments.max_num_batched_tokens, 1 + arguments.num_speculative_tokens
    decode: set[int] = set()
    if largest is None:
        largest = min(arguments.max_num_seqs * query * 2, _CEILING)
        decode = {size for size in _decode_sizes(arguments.max_num_seqs, query) if size <= min(largest, limit)}
    largest = min(largest, limit)
    fine = set(range(1, min(largest, _FINE) + 1)) if arguments.performance_mode == "interactivity" else _ones(largest)
    whole = {limit} if limit <= largest else set()
    return sorted(fine | _grid(largest) | whole | decode)


def captured(arguments: ServeArguments) -> list[int]:
    """All sizes for which a graph is captured: the runner rounds each up to whole decode queries as well."""
    sizes, query = capture_sizes(arguments), 1 + arguments.num_speculative_tokens
    if not arguments.whole_batches:
        return sizes
    most = min(max(sizes, default=0), arguments.max_num_seqs * query)
    whole = {-(-size // query) * query for size in sizes}
    return sorted({*sizes, *(size for size in whole if size <= most)})


def _decode_sizes(sequences: int, query: int) -> set[int]:
    """Tokens of decode batches in which each sequence has ``query`` of them."""
    if query == 1:
        return {sequences}
    most = min(sequences, _CEILING)
    return {count * query for count in _ones(most) | _grid(most) | {most}}


def _ones(largest: int) -> set[int]:
    return {size for size in (1, 2, 4) if size <= largest}


def _grid(largest: int) -> set[int]:
    """Steps of 8 below 256, of 16 from there on."""
    return {*range(_STEP_SMALL, min(largest + 1, _LARGE), _STEP_SMALL), *range(_LARGE, largest + 1, _STEP_LARGE)}
