"""How vLLM's own parser reads a command line, and which tokens its own dispatchers run: the built-in planner agrees.

Where it cannot, it says what it has not read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from compat import models
from compat.worker import JobFailed, Worker
from hipbmm_kernel.planner import tokens, vllm_version
from hipbmm_kernel.planner.server_flags import ServerFlags

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)

LINES = """
-
--max-num-seqs 64
--max_num_seqs=64
--max-num-seq 64
--max-num-seqs 64 --max-num-seqs 128
--max-num-seqs=100
--max-num-seqs 100 --max-cudagraph-capture-size 512
--max-num-seqs 512
--max-num-seqs 8
--max-num-seqs 1k
--max-num-batched-tokens 4k
--max-num-batched-tokens 4K
--max-num-batched-tokens 2048
--max_num_batched_tokens=1k
-tp 2
-tp=2
--tensor-parallel-size 2
--tensor-parallel 4
--tensor_parallel_size=8
-tp 2 --tensor-parallel-size 4
--tp 2
-dp 2
--data-parallel-size 2
-dp 2 -tp 2 --enable-expert-parallel
--enable-expert-parallel
-ep
--enable-expert-parallel --no-enable-expert-parallel
--enforce-eager
--enforce_eager
--enforce-eager --no-enforce-eager
--enforce
-O0
-O1
-O2
-O3
-O 0
-O=0
-O 3
--optimization-level 0
--optimization-level=1
-cc.cudagraph_mode NONE
-cc.cudagraph_mode=NONE
-cc.cudagraph_mode none
-cc.cudagraph_mode PIECEWISE
-cc.cudagraph_mode FULL
-cc.cudagraph_mode FULL_DECODE_ONLY
-cc.cudagraph_mode FULL_AND_PIECEWISE
-cc {"cudagraph_mode":"NONE"}
-cc {"cudagraph_mode":"FULL_DECODE_ONLY"}
-cc {"cudagraph_mode":0}
--compilation-config {"cudagraph_mode":"NONE"}
--compilation-config={"cudagraph_mode":"NONE"}
--compilation-config.cudagraph_mode=none
--compilation-config.cudagraph_mode NONE
--compilation_config.cudagraph_mode NONE
-cc.mode 0
-cc {"mode":0}
-cc.mode 3
-cc {"cudagraph_capture_sizes":[1,2,4,64]}
-cc.cudagraph_capture_sizes [1,2,4,64]
-cc.cudagraph_capture_sizes=[64,2,1]
-cc.cudagraph_capture_sizes+ 1,2,4
-cc.cudagraph_capture_sizes+=1,2,4
-cc.cudagraph_capture_sizes+ 1 -cc.cudagraph_capture_sizes+ 64
-cc.max_cudagraph_capture_size 64
-cc.max_cudagraph_capture_size=64
-cc.max_cudagraph_capture_size 1k
-cc {"max_cudagraph_capture_size":64}
--cudagraph-capture-sizes 1 2 4
--cudagraph-capture-sizes 1 2 4 --max-num-seqs 8
--cudagraph_capture_sizes 16 32
--max-cudagraph-capture-size 64
--max-cudagraph-capture-size=512
--max_cudagraph_capture_size 32
--max-cudagraph 64
-cc {"max_cudagraph_capture_size":64} -cc {"cudagraph_mode":"NONE"}
-cc {"cudagraph_mode":"NONE"} -cc {"max_cudagraph_capture_size":64}
-cc {"cudagraph_mode":"NONE"} -cc.max_cudagraph_capture_size 64
-cc.max_cudagraph_capture_size 64 -cc {"cudagraph_mode":"NONE"}
-cc.max_cudagraph_capture_size 64 -cc.cudagraph_mode NONE
-cc.max_cudagraph_capture_size 64 --compilation-config.cudagraph_mode NONE
--compilation-config.cudagraph_mode NONE -cc.max_cudagraph_capture_size 64
--compilation-config {"cudagraph_mode":"NONE"} -cc {"max_cudagraph_capture_size":64}
--speculative-config {"method":"ngram","num_speculative_tokens":3}
--speculative_config={"method":"ngram","num_speculative_tokens":3}
--speculative-config.method ngram --speculative-config.num_speculative_tokens 2
-sc {"method":"ngram","num_speculative_tokens":3}
-sc.method ngram -sc.num_speculative_tokens 4
--speculative-config {"method":"ngram","num_speculative_tokens":3} --max-num-seqs 64
--speculative-config {"method":"ngram","num_speculative_tokens":7} --max-num-seqs 256
--spec-method ngram --spec-tokens 3
--performance-mode interactivity
--performance-mode throughput
--performance_mode=interactivity
--performance interactivity
--quantization compressed-tensors
-q compressed-tensors
--dtype half
--dtype float16
--dtype=bfloat16
--dtype auto
--linear-backend aiter
--linear-backend torch
--linear-backend triton
--linear-backend auto
--linear_backend=AITER
--kernel-config {"linear_backend":"torch"}
--kernel-config.linear_backend torch
--kernel-config.linear_backend=auto
--port 8001 --max-num-seqs 64
--served-model-name x --max-num-seqs 64
--gpu-memory-utilization 0.9 --max-num-seqs 64
--gpu-memory-util 0.9 --max-num-seqs 64
--max-model-len 32K --max-num-seqs 64
--no-enable-prefix-caching --max-num-seqs 64
--block-size 16 --max-num-seqs 64
--kv-cache-dtype fp8 --max-num-seqs 64
--disable-log-stats --max-num-seqs 64
--trust-remote-code --max-num-seqs 64
--api-key x --max-num-seqs 64
--enable-auto-tool-choice --tool-call-parser hermes --max-num-seqs 64
--limit-mm-per-prompt {"image":2} --max-num-seqs 64
--override-generation-config {"temperature":0.5} --max-num-seqs 64
--override-generation-config.temperature 0.5 --max-num-seqs 64
--async-scheduling --max-num-seqs 64
--no-async-scheduling --max-num-seqs 64
--enable-chunked-prefill --max-num-seqs 64
--no-enable-chunked-prefill --max-num-batched-tokens 40960
--seed 7 --max-num-seqs 64
--load-format dummy --max-num-seqs 64
""".strip().splitlines()

VERSIONS = {"0.23.0": vllm_version.Version(0, 23), "0.33.0": vllm_version.Version(0, 33)}


def difference(line: str, truth: dict[str, Any], version: str) -> list[str]:
    """What the built-in planner reads differently."""
    flags = ServerFlags.from_argv([] if line == "-" else line.split(" "))
    made = tokens.plan(flags._replace(tensor_parallel=flags.tensor_parallel or 1), VERSIONS[version])
    pairs = {
        "tensor_parallel": (flags.tensor_parallel or 1, truth["tensor_parallel"]),
        "expert_parallel": (flags.expert_parallel, truth["expert_parallel"]),
        "speculative_tokens": (flags.speculative_tokens, truth["speculative_tokens"]),
        "max_num_seqs": (flags.max_num_seqs or truth["max_num_seqs"], truth["max_num_seqs"]),
        "planned": (list(made.planned), truth["planned"]),
    }
    if flags.linear_backend != "auto" and version == "0.33.0":
        pairs["linear_backend"] = (flags.linear_backend, truth["linear_backend"])
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return [f"{name}: {str(mine)[:160]}, vLLM {str(theirs)[:160]}" for name, (mine, theirs) in differing.items()]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_spelling_is_read_as_vllm_reads_it(version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    folder = str(models.write("SeedOssForCausalLM", tmp_path))
    wrong, right, refused = [], 0, 0
    for line in LINES:
        arguments = [] if line == "-" else line.split(" ")
        try:
            truth = workers[version].run("flags", folder, *arguments)
        except JobFailed as error:
            truth = {"refused": str(error)}
        if "refused" in truth:
            refused += 1
            continue
        found = difference(line, truth, version)
        named = ServerFlags.from_argv(arguments).unread
        if found and not named:
            wrong.append(f"{line}: {'; '.join(found)}")
        else:
            right += 1
    summary = {"version": version, "right": right, "refused": refused, "wrong": wrong}
    assert not wrong, json.dumps(summary, indent=1)
