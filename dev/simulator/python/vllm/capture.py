"""The batch sizes that vLLM 0.33 captures graphs for (config/vllm.py, _set_cudagraph_sizes).

Written from its description.
"""

from collections.abc import Iterable

from vllm.arguments import ServeArguments

_STEP_SMALL, _STEP_LARGE, _LARGE = 8, 16, 256
_CEILING = 512


def capture_sizes(arguments: ServeArguments) -> list[int]:
    """Ascending sizes; empty for eager mode."""
    if arguments.enforce_eager:
        return []
    limit = arguments.max_num_batched_tokens
    if arguments.capture_sizes is not None:
        return sorted({size for size in arguments.capture_sizes if 0 < size <= limit})
    per_sequence = 1 + arguments.num_speculative_tokens
    by_default = min(arguments.max_num_seqs * per_sequence * 2, _CEILING)
    cap = min(arguments.max_capture_size or by_default, limit)
    sizes = set(_grid(cap))
    if limit <= cap:
        sizes.add(limit)
    if per_sequence > 1:
        sequences = {*_grid(arguments.max_num_seqs), arguments.max_num_seqs}
        sizes |= {count * per_sequence for count in sequences if count * per_sequence <= cap}
    elif arguments.max_capture_size is None and arguments.max_num_seqs <= cap:
        sizes.add(arguments.max_num_seqs)
    return sorted(sizes)


def _grid(cap: int) -> Iterable[int]:
    yield from (size for size in (1, 2, 4) if size <= cap)
    yield from range(_STEP_SMALL, min(cap + 1, _LARGE), _STEP_SMALL)
    yield from range(_LARGE, cap + 1, _STEP_LARGE)
