"""The child of `check`: GEMMs by the wrapped `aiter.hipb_mm`, in a process set up as a server is.

Run as `python3 -m hipbmm_kernel.dispatch.child ANSWER SECONDS` with the server's environment. ANSWER gets a JSON
object: `works` and `reason`, or `error` when it could not be found out; `timed`, which grows for at most SECONDS.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hipbmm_kernel.dispatch import PLUGIN, plugin
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.rows.gemm import Linear

GROUP = "vllm.general_plugins"


def main(arguments: list[str], alive: Callable[[], None] = lambda: None) -> int:
    """Find out, and write what came of it after each step: the next one may end this process, or hang.

    `alive` is called when the plugin works, and before each measurement.
    """
    answer, seconds = Path(arguments[0]), float(arguments[1])
    table = tables.decode(Path(os.environ[tables.VARIABLE]).read_bytes())
    exact = [entry for entry in table.entries if entry.padded_m == entry.m]
    try:
        smallest = min(exact, key=lambda entry: entry.m * entry.n * entry.k)
        reason = ask(smallest, lambda: _write(answer, {}))
        found: dict[str, object] = {"works": not reason, "reason": reason}
    except Exception as error:  # noqa: BLE001 - whatever torch or AITER raises is an answer to the parent
        found = {"error": f"{type(error).__name__}: {error}"[:400]}
    _write(answer, found)
    if found.get("works"):
        from hipbmm_kernel.dispatch.race import race  # noqa: PLC0415 - imports torch

        alive()
        timed: list[tuple[object, ...]] = []

        def step() -> None:
            alive()
            _write(answer, {**found, "timed": timed})

        for one in race(exact, time.monotonic() + seconds, step):
            timed.append(one)
            step()
    return 0


def ask(entry: Entry, built: Callable[[], None]) -> str:
    """Why the plugin does not serve on this image, "" when it does. Raises what torch and AITER raise.

    `built` is called before the GEMM, when AITER's module is there.
    """
    found = [point for point in importlib.metadata.entry_points(group=GROUP) if point.name == PLUGIN]
    if not found:
        return f"this Python does not find the plugin {PLUGIN}"
    found[0].load()()
    # Only now: in a child of its own the plugin finds a process that has not imported AITER yet, as it does in vLLM.
    from hipbmm_kernel.linear.op import ensure_extension  # noqa: PLC0415 - imports torch
    from hipbmm_kernel.tune.child.device import Device  # noqa: PLC0415 - same
    from hipbmm_kernel.tune.child.operands import Operands  # noqa: PLC0415 - same

    device = Device()
    ensure_extension(device.torch_device)
    built()
    operands = Operands(device, Linear(*entry[1:4]), entry.m)
    result = operands.launch(entry.m)
    if not plugin.recorders:
        return "the plugin left AITER as it is"
    verdict = operands.expected.compare(result)
    calls = plugin.recorders[0].totals()
    return verdict or ("" if calls == (1, 0, 0) else f"the planned GEMM did not run from the table: {calls}")


def _write(answer: Path, data: dict[str, object]) -> None:
    fresh = answer.with_suffix(".new")
    fresh.write_text(json.dumps(data), encoding="ascii")
    fresh.replace(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
