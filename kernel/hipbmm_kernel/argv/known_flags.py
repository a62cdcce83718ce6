"""vLLM's flags by what they take: those that a plan is made of, with the name of what they say, and some others."""

INTEGERS = {
    "tensor-parallel-size": "tensor_parallel",
    "tp": "tensor_parallel",
    "data-parallel-size": "data_parallel",
    "dp": "data_parallel",
    "max-num-seqs": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens",
    "max-cudagraph-capture-size": "max_capture_size",
    "spec-tokens": "spec_tokens",
    "num-speculative-tokens": "spec_tokens",
    "optimization-level": "optimization_level",
    "O": "optimization_level",
}
LISTS = {"cudagraph-capture-sizes": "capture_sizes"}
TEXTS = {
    "performance-mode": "performance_mode",
    "max-model-len": "max_model_len",  # a number, or `auto`
    "quantization": "quantization",
    "q": "quantization",
    "dtype": "dtype",
    "mm-encoder-tp-mode": "encoder_mode",
    "linear-backend": "linear_backend",
    "spec-model": "spec_model",
    "spec-method": "spec_method",
    "revision": "revision",
    "hf-config-path": "hf_config_path",
}
SWITCHES = {
    "enforce-eager": "enforce_eager",
    "enable-expert-parallel": "expert_parallel",
    "ep": "expert_parallel",
    "language-model-only": "language_only",
}
JSON = {
    "compilation-config": "compilation",
    "cc": "compilation",
    "speculative-config": "speculative",
    "sc": "speculative",
    "quantization-config": "quantization_config",
    "kernel-config": "kernel",
    "limit-mm-per-prompt": "limits",
}
OTHER_SETTINGS = (
    *("block-size", "gpu-memory-utilization", "host", "kv-cache-dtype", "load-format", "port"),
    *("pipeline-parallel-size", "pp", "seed", "tokenizer", "tokenizer-mode", "download-dir"),
    *("attention-backend", "moe-backend", "all2all-backend", "distributed-executor-backend", "scheduling-policy"),
    *("tool-call-parser", "reasoning-parser", "chat-template", "generation-config", "override-generation-config"),
    *("kv-transfer-config", "api-server-count", "uvicorn-log-level", "max-loras", "max-lora-rank", "hf-overrides"),
    *("nnodes", "node-rank", "master-addr", "master-port", "kv-events-config", "otlp-traces-endpoint"),
    *("data-parallel-address", "data-parallel-rpc-port", "data-parallel-rank", "data-parallel-start-rank"),
    *("data-parallel-size-local", "uds", "root-path", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs"),
)
OTHER_SWITCHES = ("async-scheduling", "headless", "skip-mm-profiling", "trust-remote-code")
"""Those with one value and those without any that decide nothing about a plan."""


def is_flag(text: str) -> bool:
    """Whether an argument is a flag, and not a value such as `-1`."""
    return len(text) > 1 and text[0] == "-" and not text[1].isdigit()
