"""Whether this pod's server has its table in memory, and the file with that table.

`Memory` needs verified rows, the plugin beside the program, and a VLLM_PLUGINS that does not leave it out. A child says
whether it works on this image and which sizes between the planned ones are to be padded (`dispatch.check`), once per
image, stack, plan and version of this program: the answer is kept in the store and in the mirror, beside the plans.

Where the table may be in memory, the sizes that an eager server meets are planned on the grid only: the others are
padded. With the file each of them needs a row of its own.
"""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.contract.settings import FILE
from hipbmm_kernel.dispatch import PLUGIN
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.planner import cost, plan
from hipbmm_kernel.planner.plan import Plan
from hipbmm_kernel.rows.gemm import MAX_M, Problem
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.files import read_bytes
from hipbmm_kernel.system.time_limits import TooLate, within

if TYPE_CHECKING:  # a server's start needs neither
    from hipbmm_kernel.dispatch.bands import Answer
    from hipbmm_kernel.tune.handover import Handover

MAX_SHEBANG = 256
"""Bytes of a first line that the kernel reads (BINPRM_BUF_SIZE)."""
MIN_CALLS = 1000
"""A problem that was called less often is not worth the seconds of its tuning."""
DEMAND_SHARE = 0.25
UNKNOWN = "whether it works here is not known"


class Outlook(NamedTuple):
    """What is known before the tuning: the plan, why it must be the file ("" when memory is possible), the answer.

    `checked` is what a child of the tuning has shown since.
    """

    plan: Plan
    obstacle: str
    key: str = ""
    known: "Answer | None" = None
    notes: tuple[str, ...] = ()
    checked: "Answer | None" = None


class Dispatch(NamedTuple):
    """`mode` is Memory or File, `reason` why it is File though it was not asked for.

    `mirrored` is what a mirror holds of the image's answer.
    """

    mode: str = FILE
    reason: str = ""
    notes: tuple[str, ...] = ()
    mirrored: tuple[str, bytes] | None = None
    children: int = 0


def obstacle(env: Mapping[str, str], program: str) -> str:
    """Why vLLM would not load the plugin from `program`, "" when it does."""
    left_out = tables.left_out(env, PLUGIN)
    if left_out:
        return left_out
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


def look_ahead(here: "Handover", planned: Plan) -> Outlook:
    """What is known of this image before the tuning, and the plan for it. Never raises.

    A pod that is not ours may have its rows without a plan, by an answer that does not depend on one.
    """
    settings, identity = here.settings, here.identity
    reason = "" if settings.dispatch == FILE else obstacle(here.env, settings.program)
    if settings.dispatch == FILE or reason or not (planned.problems or settings.mode):
        return Outlook(planned, reason)
    from hipbmm_kernel.pod import dispatch_decision as decision  # noqa: PLC0415 - not needed where there is an obstacle
    from hipbmm_kernel.store import plans  # noqa: PLC0415 - same

    thin = planned if settings.tokens else plan.thinned(planned, identity.stack.product)
    key = decision.key_of(identity, thin)
    problems: list[str] = []
    roots = (settings.store, *settings.mirrors)
    try:
        known = within(plans.SECONDS, plans.find, here.volume, roots, key, decision.decode, problems)
    except TooLate as late:
        return Outlook(planned, f"{UNKNOWN}: {late}")
    if known is not None and not known.works:
        return Outlook(planned, known.reason, key, known, tuple(problems))
    return Outlook(thin, "", key, known, tuple(problems))


def wanted(demands: Iterable[Demand], planned: Plan, budget: float, product: str | None) -> list[Problem]:
    """The problems of the plan's linears that production asked for, most called first.

    Those that were called MIN_CALLS times, for at most DEMAND_SHARE of `budget`, GPU seconds.
    """
    calls, known, found, seconds = planned.calls, set(planned.problems), [], 0.0
    for item in demands:
        problem = Problem(item.m, item.n, item.k)
        if item.calls < MIN_CALLS or item.m > MAX_M or (item.n, item.k, item.bias) not in calls:
            continue
        if problem in known:
            continue
        known.add(problem)
        seconds += cost.tuning_seconds(problem, product)
        if seconds > DEMAND_SHARE * budget:
            break
        found.append(problem)
    return found
