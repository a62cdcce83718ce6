"""Which variables make the server of a pod that is not ours serve the table from memory; none unless that is proven.

A pod that is not ours has no file of AITER's: its working directory is the user's, and often cannot be written. So the
kernel is switched on only together with the plugin, which turns online tuning off in the process. Pure.
"""

from collections.abc import Mapping

from hipbmm_kernel.contract.settings import CONTRACT_ENV, MEMORY, ONLINE_TUNING
from hipbmm_kernel.dispatch import PLUGIN, plugins
from hipbmm_kernel.dispatch import table as tables

TABLE = tables.VARIABLE
PYTHONPATH = "PYTHONPATH"
PLUGINS = ("hipbmm_starts", PLUGIN)
KEYS = (*CONTRACT_ENV, PYTHONPATH, TABLE, "AITER_JIT_DIR")
"""What admission lets kubelet read from the file `env`."""


def variables(
    report: Mapping[str, object] | None,
    env: Mapping[str, str],
    fixed: tuple[str, ...],
    home: str,
    directories: Mapping[str, str],
) -> tuple[dict[str, str], str]:
    """What to add to the server's environment `env`, and why nothing is, "" when something is.

    `report` is that of `warm`; `fixed` are variables that the pod's spec sets, so that no other value reaches the
    server. A value that `env` has is the user's and stays; PYTHONPATH gets the program behind it.
    """
    reason = _obstacle(report, env, fixed)
    if reason:
        return {}, reason
    found = {name: value for name, value in CONTRACT_ENV.items() if name != ONLINE_TUNING and not env.get(name)}
    found[PYTHONPATH] = plugins.with_program(env, f"{home}/kernel")[PYTHONPATH]
    found[TABLE] = f"{home}/dispatch/table"
    found |= {name: value for name, value in directories.items() if name in KEYS and not env.get(name)}
    return {name: value for name, value in found.items() if name not in fixed}, ""


def _obstacle(report: Mapping[str, object] | None, env: Mapping[str, str], fixed: tuple[str, ...]) -> str:
    if report is None:
        return "there is no report of `warm`"
    if report.get("hipbmm") is not True:
        return str(report.get("message") or report.get("reason") or "the report turns HIPBMM off")
    if report.get("dispatch") != MEMORY:
        return "the table in memory is not proven on this image, or has no rows"
    if {PYTHONPATH, TABLE} & set(fixed):
        return "the pod's spec sets PYTHONPATH, so that vLLM would not find the plugin"
    return plugins.left_out(env, *PLUGINS)
