"""The server's command line in all its spellings."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.kernel.configs import encoded

from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner import plan, server_flags, tokens
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import NEWEST, Version
from hipbmm_kernel.rows import gemm

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


NONE = ServerFlags()
CASES: dict[str, ServerFlags] = {
    "Qwen/Qwen3-32B --port 8000": NONE,
    "--max-num-seqs 256": NONE._replace(max_num_seqs=256),
    "--max_num_seqs=256": NONE._replace(max_num_seqs=256),
    "--max-num-seqs 256 --max-num-seqs 64": NONE._replace(max_num_seqs=64),
    "--max-num-batched-tokens 8k": NONE._replace(max_num_batched_tokens=8000),
    "--max-num-batched-tokens 8K": NONE._replace(max_num_batched_tokens=8192),
    "-tp 4 -dp 2": NONE._replace(tensor_parallel=4, data_parallel=2),
    "-tp=4": NONE._replace(tensor_parallel=4),
    "--tensor-parallel-size 8 --enable-expert-parallel": NONE._replace(tensor_parallel=8, expert_parallel=True),
    "--enable-expert-parallel --no-enable-expert-parallel": NONE,
    "--enforce-eager": NONE._replace(graph_mode="NONE"),
    "--enforce_eager": NONE._replace(graph_mode="NONE"),
    "--enforce-eager --no-enforce-eager": NONE,
    "--enforce-eager --no-enforce": NONE,
    "--enable-expert-parallel --no-enable-exp": NONE,
    "--enable-expert-parallel --disable-exp": NONE,
    "-O0": NONE._replace(graph_mode="NONE"),
    "-O 0": NONE._replace(graph_mode="NONE"),
    "-O=0": NONE._replace(graph_mode="NONE"),
    "--optimization-level 0": NONE._replace(graph_mode="NONE"),
    "-O3": NONE,
    "-O.cudagraph_mode=NONE": NONE._replace(graph_mode="NONE"),
    "-cc.cudagraph_mode NONE": NONE._replace(graph_mode="NONE"),
    "--compilation-config.cudagraph_mode=none": NONE._replace(graph_mode="NONE"),
    "--compilation-config.pass_config.enable_sp true": NONE,
    "-cc.pass_config.enable_sp true -cc.pass_config.sp_min_token_num 8": NONE._replace(sequence_parallel=True),
    "-cc.pass_config.enable_sp True -cc.pass_config.sp_min_token_num 8": NONE._replace(sequence_parallel=True),
    '-cc {"cudagraph_mode":"NONE"}': NONE._replace(graph_mode="NONE"),
    '-cc {"cudagraph_mode":0}': NONE._replace(graph_mode="NONE"),
    '-cc {"cudagraph_mode":"FULL_AND_PIECEWISE"}': NONE,
    '-cc {"use_cudagraph":false}': NONE._replace(graph_mode="NONE"),
    '--compilation-config={"cudagraph_capture_sizes":[1,2,64]}': NONE._replace(capture_sizes=(1, 2, 64)),
    '--compilation_config {"max_cudagraph_capture_size":64}': NONE._replace(max_capture_size=64),
    '-cc {"compile_sizes":[33,"cudagraph_capture_sizes"]}': NONE._replace(compile_sizes=(33,)),
    "--compilation-config 3": NONE,
    "--cudagraph-capture-sizes 1 2 4 --port 1": NONE._replace(capture_sizes=(1, 2, 4)),
    "--max-cudagraph-capture-size 512": NONE._replace(max_capture_size=512),
    '--speculative-config {"num_speculative_tokens":3}': NONE._replace(speculative_tokens=3),
    '-sc {"method":"eagle","model":"x/y","num_speculative_tokens":3}': NONE._replace(
        speculative_tokens=3, draft_model=True, drafter="eagle"
    ),
    '-sc {"model":"[ngram]","num_speculative_tokens":3}': NONE._replace(speculative_tokens=3, drafter="[ngram]"),
    "-cc.cudagraph_mode FULL": NONE._replace(graph_mode="FULL"),
    "--speculative-config.num_speculative_tokens 2": NONE._replace(speculative_tokens=2),
    "-sc.num-speculative-tokens 2": NONE._replace(speculative_tokens=2),
    '-s {"num-speculative-tokens":3}': NONE._replace(speculative_tokens=3),
    "-cc.mode vllm_compile": NONE,
    "-cc.splitting_ops []": NONE._replace(unread=("compilation.splitting_ops: graphs are planned as without it",)),
    "--spec-tokens 4 --spec-model x": NONE._replace(speculative_tokens=4, draft_model=True, drafter="x"),
    "--performance-mode interactivity": NONE._replace(performance_mode="interactivity"),
    "--quantization fp8_per_channel --dtype half": NONE._replace(quantization="fp8_per_channel", dtype="half"),
    "--linear-backend aiter": NONE._replace(linear_backend="aiter"),
    "-q fp8_per_channel": NONE._replace(quantization="fp8_per_channel"),
    '--quantization-config {"ignore":["re:.*o_proj"]}': NONE._replace(ignore=("re:.*o_proj",)),
    "--max-num-seq 64 --tensor-parallel 4": NONE._replace(max_num_seqs=64, tensor_parallel=4),
    "--max-num 64": NONE,
    "-cc.cudagraph_mode FULL_DECODE_ONLY": NONE._replace(graph_mode="FULL_DECODE_ONLY"),
    '-cc {"cudagraph_mode":"FULL_DECODE_ONLY"}': NONE._replace(graph_mode="FULL_DECODE_ONLY"),
    "-cc.mode 0": NONE._replace(graph_mode="FULL_DECODE_ONLY"),
    "-cc.cudagraph_capture_sizes+=1,2,4": NONE._replace(capture_sizes=(1, 2, 4)),
    "-cc.cudagraph_capture_sizes+ 1 -cc.cudagraph_capture_sizes+ 2,4": NONE._replace(capture_sizes=(1, 2, 4)),
    "-cc.max_cudagraph_capture_size 1k": NONE._replace(max_capture_size=1000),
    '-cc {"max_cudagraph_capture_size":64} -cc {"compile_sizes":[3]}': NONE._replace(compile_sizes=(3,)),
    '-cc.compile_sizes [3] -cc {"max_cudagraph_capture_size":64}': NONE._replace(compile_sizes=(3,)),
    "-cc.max_cudagraph_capture_size 64 --compilation-config.compile_sizes [3]": NONE._replace(compile_sizes=(3,)),
    '--kernel-config {"linear_backend":"torch"}': NONE._replace(linear_backend="torch"),
    "--kernel-config.linear_backend AITER": NONE._replace(linear_backend="aiter"),
    '--quantization online --quantization-config {"linear":{"weight":"fp8_per_channel_static"}}': NONE._replace(
        quantization="online", online_linear="fp8_per_channel_static"
    ),
    "-q online --quantization-config.targets.*o_proj fp8_per_channel": NONE._replace(
        quantization="online", online_targets=(("*o_proj", "fp8_per_channel"),)
    ),
    '-cc {"cudagraph_capture_sizes":[1.0,2]}': NONE._replace(capture_sizes=(1, 2)),
    '--limit-mm-per-prompt {"image":0,"video":{"count":0},"audio":1}': NONE._replace(
        no_input=frozenset({"image", "video"})
    ),
    "--limit-mm-per-prompt.image 0": NONE._replace(no_input=frozenset({"image"})),
    '--limit-mm-per-prompt {"image":"0","video":0.0,"audio":false}': NONE._replace(
        no_input=frozenset({"image", "video", "audio"})
    ),
    '--limit-mm-per-prompt {"image":{"count":"00"},"video":{},"audio":"1"}': NONE._replace(
        no_input=frozenset({"image"})
    ),
    "--runner pooling --convert embed --enable-dbo": NONE,
    '--runner pooling -sc {"method":"ngram","num_speculative_tokens":2}': NONE._replace(
        speculative_tokens=2, drafter="ngram", unread=("--runner pooling: speculation is planned as without it",)
    ),
    '--enable-dbo -sc {"method":"ngram","num_speculative_tokens":2}': NONE._replace(
        speculative_tokens=2, drafter="ngram", unread=("--enable-dbo: speculation is planned as without it",)
    ),
    "-sc.method ngram -sc.num_speculative_tokens 2 -sc.num_speculative_tokens_per_batch_size [[1,4,2]]": NONE._replace(
        speculative_tokens=2,
        drafter="ngram",
        unread=("speculative.num_speculative_tokens_per_batch_size: each batch is planned with the most tokens",),
    ),
    "-cc.splitting_ops null -sc.parallel_drafting false -sc.num_speculative_tokens 2": NONE._replace(
        speculative_tokens=2
    ),
    '-sc {"use_heterogeneous_vocab":"False","parallel_drafting":true,"num_speculative_tokens":2}': NONE._replace(
        speculative_tokens=2, unread=("speculative.parallel_drafting: the runner is planned as without it",)
    ),
    "-cc.mode 1 -cc.cudagraph_mode FULL": NONE._replace(
        graph_mode="FULL",
        unread=("compilation.mode 1: graphs of whole batches are planned, which vLLM 0.32 leaves out",),
    ),
    "-cc.mode stock_torch_compile -O0": NONE._replace(graph_mode="NONE"),
    "-cc.mode 0 -cc.cudagraph_mode FULL": NONE._replace(graph_mode="FULL"),
    "--mm-encoder-only": NONE._replace(unread=("--mm-encoder-only: the language model is planned",)),
    '-sc {"method":"suffix"}': NONE._replace(
        drafter="suffix", unread=("speculative: no number of tokens, planned without any",)
    ),
    "--spec-method mtp --spec-tokens 1": NONE._replace(speculative_tokens=1, draft_model=True, drafter="mtp"),
    '-sc {"method":"deepseek_mtp","num_speculative_tokens":2}': NONE._replace(
        speculative_tokens=2, draft_model=True, drafter="deepseek_mtp"
    ),
    "--mm-encoder-tp-mode data --language-model-only": NONE._replace(encoder_mode="data", language_only=True),
    "--hf-overrides {} --model-impl vllm --config-format=hf": NONE,
    "--hf-overrides.x {}": NONE._replace(unread=("--hf-overrides.x {}: its fields are not in the plan",)),
    "--model-impl transformers": NONE._replace(unread=("--model-impl transformers: vLLM's own classes are planned",)),
    '--model-class-overrides {"A":"b:C"}': NONE._replace(
        unread=('--model-class-overrides {"A":"b:C"}: vLLM\'s own classes are planned',)
    ),
    "--dcp-q-replicate --port 1": NONE._replace(
        unread=("--dcp-q-replicate: latent attention is planned as without it",)
    ),
    "--model org/m --enable-lora --max-loras 4": NONE,
    '-sc {"method":"ngram","num_speculative_tokens":2} -sc null': NONE,
    "--hf_overrides.text_config.hidden_size=8": NONE._replace(
        unread=("--hf-overrides.text_config.hidden_size 8: its fields are not in the plan",)
    ),
    "-qfp8_per_channel": NONE._replace(quantization="fp8_per_channel"),
    "--max-num-seqs": NONE._replace(unread=("--max-num-seqs",)),
    "--max-num-seqs lots": NONE._replace(unread=("--max-num-seqs lots",)),
    "--max-num-seqs -5": NONE._replace(unread=("--max-num-seqs -5",)),
    "--cudagraph-capture-sizes 1 x": NONE._replace(unread=("--cudagraph-capture-sizes 1 x",)),
    "--compilation-config nonsense": NONE._replace(unread=("compilation: nonsense",)),
    "--config server.yaml": NONE._replace(
        unread=("--config server.yaml: what that file alone says is not in the plan",)
    ),
}


@pytest.mark.parametrize("line", CASES)
def test_spellings(line: str) -> None:
    assert ServerFlags.from_argv(line.split(" ")) == CASES[line]


def test_flags_reach_the_plan() -> None:
    flags = ServerFlags.from_argv(["--max-num-seqs", "64", "--tensor-parallel-size", "4", "--weird", "--config", "x"])
    found = plan.build(encoded("qwen3-32b"), plan.Options(4, flags=flags))

    assert found.tokens == tokens.plan(flags)
    assert found.warnings == ("not read: --config x: what that file alone says is not in the plan",)


words = st.one_of(
    st.sampled_from(sorted({word for line in CASES for word in line.split(" ")})), st.text(max_size=6), st.just("-")
)


@settings(max_examples=1000)
@given(st.lists(words, max_size=6))
@example(["-cc.cudagraph_capture_sizes+", "1k"])
def test_no_command_line_raises(argv: list[str]) -> None:
    flags = ServerFlags.from_argv(argv)

    # Where every graph is larger than what AITER looks up, all batches are padded to it: there is nothing to plan.
    looked_up = [size for size in flags.capture_sizes or (1,) if size <= gemm.MAX_M]
    assert tokens.plan(flags).planned or not looked_up or flags.capture_sizes == ()


def test_deep_json_is_text() -> None:
    flags = ServerFlags.from_argv(["-cc", "[" * 50_000, "-cc", json.dumps({"cudagraph_capture_sizes": [8]})])

    assert flags.capture_sizes == (8,)
    assert len(flags.unread) == 1


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"VLLM_DISABLED_KERNELS": f"X,{HIPBMM}"}, True),
        ({"VLLM_DISABLED_KERNELS": f"X, {HIPBMM}"}, False),
        ({"VLLM_DISABLED_KERNELS": HIPBMM.lower()}, False),
        ({"VLLM_BATCH_INVARIANT": "1"}, True),
        ({"VLLM_BATCH_INVARIANT": "0"}, False),
        ({"VLLM_BATCH_INVARIANT": "00"}, False),
        ({"VLLM_BATCH_INVARIANT": "2"}, True),
        ({}, False),
    ],
)
def test_variables_leave_the_kernel_out_as_vllm_splits_them(env: dict[str, str], named: bool) -> None:
    assert bool(server_flags.disabled_by(env, NEWEST)) == named
    older = server_flags.disabled_by(env, Version(0, 31))
    assert bool(older) == (named and "VLLM_BATCH_INVARIANT" not in env)


@pytest.mark.parametrize(
    ("value", "first"), [("0", True), ("00", True), ("1", False), ("2", False), ("", None), ("yes", None)]
)
def test_a_variable_chooses_the_runner(value: str, first: bool | None) -> None:
    assert server_flags.in_environment(NONE, {"VLLM_USE_V2_MODEL_RUNNER": value}).first_runner is first
    assert server_flags.in_environment(NONE, {}).first_runner is None


@pytest.mark.parametrize(
    "name",
    [
        "TORCH_COMPILE_DISABLE",
        "VLLM_USE_BREAKABLE_CUDAGRAPH",
        "VLLM_DP_SIZE",
        "VLLM_MLA_DISABLE",
        "VLLM_DCP_Q_REPLICATE",
        "VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS",
    ],
)
def test_variables_that_are_not_read_are_named(name: str) -> None:
    assert [text.partition(":")[0] for text in server_flags.in_environment(NONE, {name: "2"}).unread] == [name]
    idle = {"VLLM_DP_SIZE": "1", "VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS": "False", name: "0"}
    assert server_flags.in_environment(NONE, idle).unread == ()


@pytest.mark.parametrize("flag", [["--enable-dbo"], ["--ubatch-size", "2"], ["--enable-db"]])
def test_batches_that_are_split_are_named_where_there_is_somebody_to_overlap_them_with(flag: list[str]) -> None:
    assert ServerFlags.from_argv(flag).unread == ()
    (named,) = ServerFlags.from_argv([*flag, "-dp", "2"]).unread
    assert named.endswith(": batches are planned whole")
