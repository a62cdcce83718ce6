"""Spellings of `vllm serve`'s flags, one command line a line, behind variables; `-` is an empty one."""

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
VLLM_USE_V2_MODEL_RUNNER=0 --max-num-seqs 64
VLLM_USE_V2_MODEL_RUNNER=0 --speculative-config {"method":"ngram","num_speculative_tokens":2}
VLLM_USE_V2_MODEL_RUNNER=1 --speculative-config {"method":"ngram","num_speculative_tokens":2} --max-num-seqs 64
--max-num-batched-tokens 2.5k --max-num-seqs 64
--max-num-batched-tokens 1m
--max-num-batched-tokens 1.5K
--max-num-batched-tokens 300 --max-num-seqs 64
--cuda-graph-sizes 1 2 4
--disable-cudagraph-padding
--cudagraph-capture-sizes=64
--cudagraph-capture-sizes 64 --cudagraph-capture-sizes 1 2
--cudagraph-capture-sizes 600 1000
--cudagraph-cap 8 16
--max-cudagraph-capture-size 1000
--max-cudagraph-capture-size 3
--max-cudagraph-capture-size 300 --max-num-batched-tokens 256
--max-num-seqs 3
--max-num-seqs 2000
--data-parallel-size-local 2 -dp 4
-pp 2 --max-num-seqs 64
--ten 2
--disable-expert-parallel
--enable-expert-parallel --disable-expert-parallel
--enable_expert_parallel --no_enable_expert_parallel
--no_enforce_eager --enforce_eager
-O3 -O0
-O0 -O3
-O0 -cc.cudagraph_mode FULL
-O0 -cc.cudagraph_mode PIECEWISE
-O1 -cc.cudagraph_mode FULL_DECODE_ONLY
-O=0 --cudagraph-capture-sizes 8
--optimization 1
-cc 3
-cc {"mode":0,"cudagraph_mode":"FULL"}
-cc {"mode":0,"cudagraph_mode":"PIECEWISE"}
-cc.mode NONE
-cc.mode STOCK_TORCH_COMPILE
-cc {"mode":1,"cudagraph_mode":"FULL_AND_PIECEWISE"}
-cc {"cudagraph_mode":null}
-cc {"cudagraph_mode":"Full_Decode_Only"}
-cc {"cudagraph_mode":2}
-cc {"compile_sizes":["cudagraph_capture_sizes"]}
-cc.pass_config.enable_sp true -tp 2
-cc.pass_config.enable_sp true -cc.pass_config.sp_min_token_num 8 -tp 4
-cc.cudagraph_capture_sizes+ 1,2 -cc.cudagraph_capture_sizes [8]
-cc.max_cudagraph_capture_size 0.5k
-cc {"max_cudagraph_capture_size":"64"}
-cc {"cudagraph_capture_sizes":["8","16"]}
--compilation-conf {"cudagraph_mode":"NONE"}
--compilation-conf.cudagraph_mode NONE
--compilation-conf.cudagraph_mode NONE --compilation-config.max_cudagraph_capture_size 64
-sc {"method":"ngram","num_speculative_tokens":3} -cc.cudagraph_mode FULL
-sc {"method":"ngram","num_speculative_tokens":3} -cc.cudagraph_mode PIECEWISE
-sc {"method":"ngram","num_speculative_tokens":3} -O1 --max-num-seqs 64
-sc {"method":"ngram","num_speculative_tokens":"3"}
-sc {"method":"ngram","num_speculative_tokens":3} -cc.cudagraph_mode FULL_DECODE_ONLY --max-num-seqs 64
-sc {"method":"ngram","num_speculative_tokens":3} --max-cudagraph-capture-size 100
--performance-mode interactivity --max-num-seqs 8
--kernel-config {"linear_backend_per_quant":{"fp8_w8a8":"torch"}}
--kernel-config {"linear_backend_per_quant":{"mxfp4":"torch"}}
--kernel-config.linear_backend_per_quant.fp8_w8a8 torch
--kernel-config {"linear_backend":"torch"} --linear-backend auto
--kernel-conf.linear_backend torch
--linear torch
--max-model-len auto --max-num-seqs 64
--served-model-name a b c --max-num-seqs 64
--max-logprobs -1 --max-num-seqs 64
--max-num-seqs 64 --
-x --max-num-seqs 64
VLLM_USE_V2_MODEL_RUNNER=true --max-num-seqs 64
VLLM_USE_V2_MODEL_RUNNER=0 -sc {"method":"ngram","num_speculative_tokens":2} -cc.cudagraph_mode FULL --max-num-seqs 64
VLLM_USE_V2_MODEL_RUNNER=0 -sc {"method":"ngram","num_speculative_tokens":2} -cc.cudagraph_mode PIECEWISE
""".strip().splitlines()

VERSIONS = ("0.23.0", "0.33.0")
MODEL = "SeedOssForCausalLM"
"""Of compat.models: any dense one will do."""


def arguments(line: str) -> list[str]:
    """The arguments of a line."""
    return [] if line == "-" else [word for word in line.split(" ") if not word.startswith("VLLM_")]


def variables(line: str) -> dict[str, str]:
    """The environment of a line."""
    words = (word.partition("=") for word in line.split(" ") if word.startswith("VLLM_"))
    return {name: value for name, _, value in words}


def spans(numbers: list[int]) -> str:
    """Rising numbers as text, those without a gap as `first-last`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
