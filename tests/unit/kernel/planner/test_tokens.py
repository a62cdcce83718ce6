"""Token lists by vLLM's version and flags."""

from __future__ import annotations

import pytest
from tests.unit.kernel.configs import encoded

from hipbmm_kernel.planner import plan, tokens
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version

DEFAULT = (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16))
V23, V27, V28, V33 = (Version(0, minor) for minor in (23, 27, 28, 33))


def captured(vllm: Version, flags: ServerFlags | None = None) -> tuple[int, ...]:
    return tokens.captured_sizes(flags or ServerFlags(), vllm)


@pytest.mark.parametrize("vllm", [V23, V27, V33])
def test_the_default_list_has_51_sizes(vllm: Version) -> None:
    assert captured(vllm) == DEFAULT
    assert len(DEFAULT) == 51


def test_fewer_sequences_give_fewer_sizes() -> None:
    assert len(captured(V33, ServerFlags(max_num_seqs=128))) == 35
    assert captured(V33, ServerFlags(max_num_seqs=128))[-1] == 256
    assert len(captured(V33, ServerFlags(max_num_seqs=64))) == 19


def test_0_33_captures_the_number_of_sequences() -> None:
    assert 100 in captured(V33, ServerFlags(max_num_seqs=100))
    assert captured(V33, ServerFlags(max_num_seqs=100))[-1] == 200
    assert 100 not in captured(V27, ServerFlags(max_num_seqs=100))
    assert 100 not in captured(V33, ServerFlags(max_num_seqs=100, max_capture_size=512))
    assert 100 not in captured(V33, ServerFlags(max_num_seqs=100, speculative_tokens=3))


def test_the_batch_limit_is_captured_when_it_is_small() -> None:
    assert captured(V23, ServerFlags(max_num_batched_tokens=300))[-3:] == (272, 288, 300)


@pytest.mark.parametrize(
    ("line", "most"),
    [
        ("--max-num-seqs 2 --max-model-len 64", 128),
        ("--max-num-seqs 1 --max-model 0.1k", 100),
        ("--max-num-seqs 2 --max-model-len 64 --max-num-batched-tokens 512", 512),
        ("--max-num-seqs 2 --max-model-len auto", 512),
        ("--max-num-seqs 2 --max-model-len -1", 512),
        ("--max-model-len 64", 512),
    ],
)
def test_a_batch_has_no_more_tokens_than_its_sequences(line: str, most: int) -> None:
    """`max_num_batched_tokens` of EngineArgs where the user names none."""
    flags = ServerFlags.from_argv(line.split())
    assert not flags.unread
    assert max(tokens.plan(flags, V33).planned) == most


def test_interactivity_is_fine_grained_below_32() -> None:
    assert captured(V23, ServerFlags(performance_mode="interactivity"))[:34] == (*range(1, 33), 40, 48)


def test_sequence_parallelism_keeps_multiples_of_the_ranks_up_to_0_31() -> None:
    flags = ServerFlags(sequence_parallel=True, tensor_parallel=4)

    assert captured(V27, flags)[:3] == captured(Version(0, 31), flags)[:3] == (4, 8, 16)
    assert captured(Version(0, 32), flags) == DEFAULT
    assert captured(V27, flags._replace(tensor_parallel=1)) == DEFAULT
    assert captured(V33, flags) == DEFAULT


def test_a_users_own_list_is_taken_as_it_is() -> None:
    flags = ServerFlags(capture_sizes=(300, 7, 7, 20000))

    assert captured(V33, flags) == (7, 300)
    assert captured(V23, flags._replace(max_num_batched_tokens=100)) == (7,)


def test_speculation_of_two_tokens() -> None:
    flags = ServerFlags(max_num_seqs=256, speculative_tokens=2)
    more = set(captured(V33, flags)) - set(DEFAULT)

    assert {264, 312, 360, 408, 456, 504} <= more
    assert more == {3, 6, 12, 264, 312, 360, 408, 456, 504}
    assert captured(V27, flags) == DEFAULT


def test_speculation_of_three_tokens_adds_nothing() -> None:
    flags = ServerFlags(max_num_seqs=256, speculative_tokens=3)

    assert tokens.plan(flags, V33).planned == DEFAULT


def test_uniform_decode_batches_are_rounded_up_to_whole_queries() -> None:
    """Both runners capture multiples of the query length besides (or instead of) the list itself."""
    planned = tokens.plan(ServerFlags(max_num_seqs=256, speculative_tokens=2), V27)

    assert {3, 6, 9, 18, 24, 33} <= set(planned.planned)
    assert set(DEFAULT) <= set(planned.planned)
    assert max(planned.planned) == 512
    assert planned.eager == frozenset()


@pytest.mark.parametrize(
    ("drafter", "vllm", "planned"),
    [
        ("ngram", V28, 63),
        ("draft_model", V28, 63),
        ("yuhuili/EAGLE3-LLaMA3", V28, 85),
        ("mtp", V28, 63),
        ("ngram", V33, 92),
        ("mtp", Version(0, 29), 92),
        ("ngram", Version(0, 31), 64),
        ("draft_model", Version(0, 30), 64),
        ("draft_model", Version(0, 31), 92),
        ("ngram", Version(0, 32), 92),
        ("suffix", V33, 64),
    ],
)
def test_ways_of_drafting_that_the_second_runner_lacks_round_the_list(
    drafter: str, vllm: Version, planned: int
) -> None:
    """63 and the last 92 are what the dispatchers of vLLM 0.28.0 and 0.33.0 themselves have."""
    flags = ServerFlags(speculative_tokens=2, drafter=drafter)
    assert len(tokens.plan(flags, vllm).planned) == planned
    assert (captured(vllm, flags)[0] == 3) is (planned in (63, 64))


@pytest.mark.parametrize(("mode", "planned"), [("FULL", 53), ("FULL_AND_PIECEWISE", 84)])
def test_one_kind_of_graph_for_all_batches_is_not_rounded_to_whole_queries(mode: str, planned: int) -> None:
    assert len(tokens.plan(ServerFlags(speculative_tokens=5, graph_mode=mode), V33).planned) == planned


def test_more_speculation_captures_more_for_few_sequences() -> None:
    assert captured(V33, ServerFlags(max_num_seqs=32, speculative_tokens=3))[-1] == 256
    assert captured(V27, ServerFlags(max_num_seqs=32, speculative_tokens=3))[-1] == 256


def test_below_512_every_further_m_is_eager() -> None:
    planned = tokens.plan(ServerFlags(max_num_seqs=64), V33)

    assert len(planned.captured) == 19
    assert planned.eager == set(range(129, 513))
    assert planned.planned == (*planned.captured, *range(129, 513))


def test_without_graphs_every_m_is_eager() -> None:
    planned = tokens.plan(ServerFlags(graph_mode="NONE"), V33)

    assert planned.captured == ()
    assert planned.planned == tuple(range(1, 513))
    assert planned.eager == set(range(1, 513))


def test_the_number_of_sequences_runs_eagerly_once() -> None:
    planned = tokens.plan(ServerFlags(max_num_seqs=100, max_capture_size=512), V33)

    assert planned.eager == {100}
    assert 100 in planned.planned


def test_nothing_above_the_batch_limit_or_512() -> None:
    small = tokens.plan(ServerFlags(max_num_batched_tokens=100, max_num_seqs=300), V33)
    large = tokens.plan(ServerFlags(max_capture_size=2048), V33)

    assert max(small.planned) == 100
    assert max(large.captured) == 2048
    assert large.planned == DEFAULT


def test_compile_sizes_run_eagerly_too() -> None:
    assert tokens.plan(ServerFlags(compile_sizes=(33, 1000)), V33).eager == {33}


def test_explicit_tokens_replace_everything() -> None:
    planned = tokens.plan(ServerFlags(), V33, override=(7, 4, 4, 600))

    assert planned.planned == (4, 7)
    assert planned.eager == {7}


def test_in_0_23_speculation_leaves_whole_queries_only() -> None:
    flags = ServerFlags(speculative_tokens=2, max_num_seqs=16)
    assert tokens.captured_sizes(flags, Version(0, 23)) == (3, 6, 9, 18, 24, 33, 42, 48, 57, 66, 72, 81, 90, 96)
    assert 4 in tokens.captured_sizes(flags, Version(0, 33))


def test_batches_with_a_prefill_run_with_their_own_size_when_graphs_are_for_decoding_only() -> None:
    found = tokens.plan(ServerFlags(graph_mode="FULL_DECODE_ONLY", max_num_seqs=64))
    assert found.planned == tuple(range(1, 513))
    assert found.eager == frozenset(range(1, 513))


@pytest.mark.parametrize("flags", [ServerFlags(capture_sizes=(1, 2)), ServerFlags(max_capture_size=2)])
def test_a_list_of_which_the_v1_runner_leaves_nothing_is_refused_as_vllm_does_not_start(flags: ServerFlags) -> None:
    drafting = flags._replace(speculative_tokens=3, drafter="ngram")
    with pytest.raises(ConfigInvalid, match=r"cudagraph_capture_sizes: .2.: must reach 4"):
        tokens.plan(drafting, V28)
    assert len(tokens.plan(drafting, V33).planned) == 512
    assert len(tokens.plan(drafting._replace(graph_mode="PIECEWISE"), V28).planned) == 512


@pytest.mark.parametrize(
    ("flags", "vllm", "runner"),
    [
        (ServerFlags(speculative_tokens=2, drafter="eagle3"), V28, "V2"),
        (ServerFlags(speculative_tokens=2, drafter="mtp"), V27, "V1"),
        (ServerFlags(speculative_tokens=2, drafter="eagle3"), V33, ""),
        (ServerFlags(speculative_tokens=2, drafter="eagle3"), V23, ""),
        (ServerFlags(speculative_tokens=2, drafter="eagle3", first_runner=True), V28, ""),
        (ServerFlags(), V28, ""),
    ],
)
def test_a_runner_that_the_model_decides_on_is_said(flags: ServerFlags, vllm: Version, runner: str) -> None:
    said = plan.build(encoded("qwen3-32b"), plan.Options(vllm=vllm, flags=flags)).warnings
    assert [words[-2:] for words in said if "runner" in words] == ([runner] if runner else [])


@pytest.mark.parametrize(
    ("model", "minor", "drafter", "chosen", "first"),
    [
        ("deepseek-v3.2", 28, "mtp", None, True),
        ("deepseek-v3.2", 29, "mtp", None, True),
        ("deepseek-v3.2", 31, "deepseek_mtp", None, True),
        ("deepseek-v3.2", 31, "dspark", None, False),
        ("deepseek-v3.2", 31, "mtp", False, False),
        ("deepseek-v3.2", 32, "mtp", None, False),
        ("deepseek-v3", 31, "mtp", None, False),
    ],
)
def test_some_models_keep_the_v1_runner_on_rocm(
    model: str, minor: int, drafter: str, chosen: bool | None, first: bool
) -> None:
    flags = ServerFlags(speculative_tokens=2, drafter=drafter, first_runner=chosen)
    made = plan.build(encoded(model), plan.Options(8, vllm=Version(0, minor), flags=flags))
    assert made.tokens == tokens.plan(flags._replace(first_runner=first), Version(0, minor))
    assert (max(made.tokens.captured) < 512) == first  # V1 rounds to whole queries of 3


@pytest.mark.parametrize(("version", "most"), [(Version(0, 23), 500), (Version(0, 28), 16384), (Version(0, 33), 16384)])
def test_a_graph_is_captured_up_to_the_largest_batch_of_the_version(version: Version, most: int) -> None:
    found = tokens.plan(ServerFlags(capture_sizes=(63, 500, 16384)), version)
    assert max(found.captured) == most
    assert (512 in found.planned) == (most < 512)
