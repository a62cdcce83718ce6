"""The simulator: a vLLM ROCm serving image for machines without an AMD GPU (see README.md).

In: the settings of README.md. Out: the image (`python/` stands in for `aiter` and `vllm`, `sysfs` for the kernel's view
of GPUs) and `node/`, whose GPUs are files. Never: product code that knows of it (adr/0006), a stack that could pass for
a real one. Imported by tests, bench and compat.
"""
