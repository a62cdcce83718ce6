"""How vLLM comes to load a plugin of ours: it lies beside the program, which is on PYTHONPATH, and nothing hides it."""

import os
from collections.abc import Mapping

from hipbmm_kernel.dispatch import PLUGIN
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.files import read_bytes

MAX_SHEBANG = 256
"""Bytes of a first line that the kernel reads (BINPRM_BUF_SIZE)."""


def with_program(env: Mapping[str, str], program: str) -> dict[str, str]:
    """The environment in which Python finds the plugins: `program` behind what the image and the user have."""
    own = env.get("PYTHONPATH")
    if own and program in own.split(":"):
        return dict(env)
    return {**env, "PYTHONPATH": f"{own}:{program}" if own else program}


def left_out(env: Mapping[str, str], *plugins: str) -> str:
    """Why vLLM would not load these plugins, "" when it does.

    It loads all plugins, or those that VLLM_PLUGINS names: a list with commas, no blanks taken away
    (vllm/envs.py, vllm/plugins/__init__.py).
    """
    named = env.get("VLLM_PLUGINS")
    missing = [plugin for plugin in plugins if named is not None and plugin not in named.split(",")]
    return f"VLLM_PLUGINS leaves {', '.join(missing)} out" if missing else ""


def obstacle(env: Mapping[str, str], program: str) -> str:
    """Why vLLM would not load the plugin of the table in memory from `program`, "" when it does."""
    reason = left_out(env, PLUGIN)
    if reason:
        return reason
    try:
        names = os.listdir(program)
    except OSError as error:
        return f"{program}: {volumes.describe(error)}"
    if not any(name.startswith(f"{PLUGIN}-") and name.endswith(".dist-info") for name in names):
        return f"there is no plugin in {program}"
    return _isolated(env)


def _isolated(env: Mapping[str, str]) -> str:
    """Why the script `vllm` of this image ignores PYTHONPATH; "" when it does not, or there is none."""
    for directory in os.get_exec_path(env):
        data = read_bytes(f"{directory}/vllm", MAX_SHEBANG)
        if data is None:
            continue
        first = data.partition(b"\n")[0].decode("ascii", "replace")
        words = first.removeprefix("#!").split() if first.startswith("#!") else []
        while words and (words[0].endswith("/env") or words[0] == "-S"):
            words.pop(0)
        if len(words) < len(("python3", "-I")):
            return ""
        from hipbmm_kernel.argv import command  # noqa: PLC0415 - a tenth of a start's time, and few scripts need it

        hidden = f"{directory}/vllm starts Python with -I or -E, which hides the plugin"
        return hidden if command.is_isolated(words) else ""
    return ""
