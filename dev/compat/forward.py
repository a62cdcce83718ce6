"""A forward pass of a small model through vLLM's own layers and kernels on the CPU, with the simulator as AITER.

What has no kernel for a CPU is taken out: attention gives zeros, and other custom operators run their own PyTorch form.
Weights are made up. What is left is real: the selection of the kernel, its preparation of weights, the quantisation of
activations, the call of AITER with its arguments.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

from hipbmm_kernel.image import engine, single_process

ON_CPU = ("--enforce-eager", "--load-format", "dummy", "--max-model-len", "64", "-cc.custom_ops", '["none"]')
TABLE = "hip_online_tuning_res.csv"


def rows(tokens: list[int], *arguments: str) -> list[str]:
    """The lines that AITER's online tuning writes when batches of so many tokens pass through the model, if any."""
    torch = importlib.import_module("torch")
    config = engine.config((*arguments, *ON_CPU), [])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with importlib.import_module("vllm.config").set_current_vllm_config(config):
            single_process.groups(config.parallel_config)
            # One rank's sum is its own part; 0.22 asks for it even then.
            importlib.import_module("vllm.distributed.parallel_state").get_tp_group().all_reduce = lambda part: part
            torch.set_default_dtype(config.model_config.dtype)
            _without_attention()
            model = _loaded(config)
            for count in tokens:
                _pass(model, config, count)
        table = Path(folder) / TABLE
        return table.read_text().splitlines() if os.path.lexists(table) else []


def _loaded(config: Any) -> Any:  # noqa: ANN401 - vLLM's VllmConfig, a torch Module
    """The model as vLLM's own loader for made-up weights makes it, quantised while it loads where that is asked for."""
    config.device_config.device = importlib.import_module("torch").device("cpu")
    return importlib.import_module("vllm.model_executor.model_loader").get_model(vllm_config=config)


def _without_attention() -> None:
    torch = importlib.import_module("torch")
    attention = importlib.import_module("vllm.model_executor.layers.attention.attention").Attention

    def zeros(self: Any, query: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - torch tensors
        return torch.zeros(len(query), self.num_heads * self.head_size, dtype=query.dtype)

    attention.forward = zeros
    attention.process_weights_after_loading = lambda *_: None


def _pass(model: Any, config: Any, count: int) -> None:  # noqa: ANN401 - vLLM's
    torch = importlib.import_module("torch")
    context = importlib.import_module("vllm.forward_context").set_forward_context
    with context(None, config), torch.inference_mode():
        model.forward(torch.zeros(count, dtype=torch.long), torch.arange(count))
