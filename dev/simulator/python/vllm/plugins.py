"""vLLM's general plugins (vllm/plugins/__init__.py): loaded once per process, all of them or those of VLLM_PLUGINS.

vLLM does it where it parses the engine's arguments, in the engine and in each worker; here all three are one process.
"""

import os
from functools import cache
from importlib.metadata import entry_points

from vllm.log import LOGGER

GROUP = "vllm.general_plugins"


@cache
def load_general_plugins() -> None:
    """Call each plugin. One that cannot be imported is logged; what a plugin raises ends the process, as in vLLM."""
    allowed = os.environ.get("VLLM_PLUGINS")
    names = None if allowed is None else allowed.split(",")
    functions = []
    for plugin in entry_points(group=GROUP):
        if names is not None and plugin.name not in names:
            continue
        try:
            functions.append(plugin.load())
        except Exception:  # noqa: BLE001 - as vLLM
            LOGGER.exception("Failed to load plugin %s", plugin.name)
    for function in functions:
        function()
