"""The child of `check`: one planned GEMM by the wrapped `aiter.hipb_mm`, in a process set up as a server is.

Run as `python3 -m hipbmm_kernel.dispatch.child ANSWER M N K BIAS` with the server's environment. ANSWER gets a JSON
object: `works` and `reason`, or `error` when it could not be found out.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from hipbmm_kernel.dispatch import table

GROUP = "vllm.general_plugins"


def main(arguments: list[str]) -> int:
    """Find out, and write what came of it."""
    answer, m, n, k, bias = arguments
    try:
        reason = ask(int(m), int(n), int(k), bias=bias == "1")
        data: dict[str, object] = {"works": not reason, "reason": reason}
    except Exception as error:  # noqa: BLE001 - whatever torch or AITER raises is an answer to the parent
        data = {"error": f"{type(error).__name__}: {error}"[:400]}
    Path(answer).write_text(json.dumps(data), encoding="ascii")
    return 0


def ask(m: int, n: int, k: int, *, bias: bool) -> str:
    """Why the plugin does not serve on this image, "" when it does. Raises what torch and AITER raise."""
    found = [entry for entry in importlib.metadata.entry_points(group=GROUP) if entry.name == table.PLUGIN]
    if not found:
        return f"this Python does not find the plugin {table.PLUGIN}"
    found[0].load()()
    # Only now: the plugin must find a process that has not imported AITER yet, as it does in vLLM.
    from hipbmm_kernel.dispatch import wrapper  # noqa: PLC0415 - imports torch
    from hipbmm_kernel.linear.op import HEURISTIC, ensure_extension, hipb_mm_fp8  # noqa: PLC0415 - same
    from hipbmm_kernel.tune.child.device import Device  # noqa: PLC0415 - same
    from hipbmm_kernel.tune.child.operands import Linear, Operands  # noqa: PLC0415 - same

    device = Device()
    module = ensure_extension(device.torch_device)
    operands = Operands(device, Linear(n, k, bias), m)
    x, x_scale = operands.tokens(m)
    result = hipb_mm_fp8(x, operands.shuffled, x_scale, operands.weight_scale, operands.bias, solution_index=HEURISTIC)
    if module.hipb_mm.__module__ != wrapper.__name__:
        return "the plugin left AITER as it is"
    return operands.expected().compare(result) or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
