"""The operator's side of the pod contract (docs/pod-contract.md): names, paths, variables, and what `warm` answers.

`kernel/hipbmm_kernel/contract/settings.py` is the other side; they share no code, a test holds them together.
"""

from collections.abc import Mapping

PAYLOAD, WARM, HARVEST, SERVER = "payload", "warm", "harvest", "server"
"""Containers of the pod."""

HOME = "/hipbmm"
CACHE = f"{HOME}/cache"
PROGRAM = f"{HOME}/kernel"
STORE = f"{HOME}/store"
MIRROR = f"{HOME}/mirror"
MODEL_CONFIG_DIR = f"{HOME}/model-config"
MODEL_CONFIG = f"{MODEL_CONFIG_DIR}/config.json"
MODELS = "/models"
METRICS_PORT = 9410

FLAGS: Mapping[str, str] = {
    "VLLM_ROCM_USE_AITER": "1",
    "VLLM_ROCM_USE_AITER_LINEAR": "1",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1",
    "HIP_ONLINE_TUNING": "1",
}
"""The four variables that switch HIPBMM and its tuned rows on."""

PLUGIN = "hipbmm_dispatch"
"""The plugin of vLLM that has the table in memory, as VLLM_PLUGINS names it."""

DEFAULTS: Mapping[str, str] = {
    "HIPBMM_TENSOR_PARALLEL": "1",
    "HIPBMM_POLICY": "ServeUntuned",
    "HIPBMM_BUDGET_SECONDS": "1800",
    "HIPBMM_TUNE": "1",
    "HIPBMM_VERIFY": "1",
    "HIPBMM_SEARCH": "Online",
    "HIPBMM_WARMUP_SECONDS": "1800",
    "HIPBMM_DISPATCH": "Auto",
}
"""The program's own defaults of the settings that the operator decides."""
