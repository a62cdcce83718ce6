"""Whether this pod's server has its table in memory, and the file with that table.

`Memory` needs verified rows, the plugin beside the program, and a VLLM_PLUGINS that does not leave it out. A child says
whether it works on this image and which sizes between the planned ones are to be padded (`dispatch.check`), once per
image, stack, plan and version of this program: the answer is kept in the store and in the mirror, beside the plans.

Where the table may be in memory, the sizes that an eager server meets are planned on the grid only: the others are
padded. With the file each of them needs a row of its own.
"""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import CONTRACT_ENV, FILE, MEMORY, Settings
from hipbmm_kernel.dispatch import bands
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.bands import Band
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.image import installed, plan_file
from hipbmm_kernel.planner import cost, plan
from hipbmm_kernel.planner.answer import AnswerInvalid
from hipbmm_kernel.rows.gemm import MAX_M, Problem, Row
from hipbmm_kernel.store import plans
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import canonical, sha256
from hipbmm_kernel.system.time_limits import TooLate, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hipbmm_kernel.dispatch.check import Checked, InTuning
    from hipbmm_kernel.dispatch.demand_lines import Demand
    from hipbmm_kernel.identity.container import Identity
    from hipbmm_kernel.planner.plan import Plan
    from hipbmm_kernel.store.table import Table as StoreTable
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop
    from hipbmm_kernel.system.volume import Volume

VOLUME_SECONDS = 10.0
"""For an answer on a shared volume; beyond it the answer is not known."""
KEY_LENGTH = 16
MAX_SHEBANG = 256
"""Bytes of a first line that the kernel reads (BINPRM_BUF_SIZE)."""
MIN_CALLS = 1000
"""A problem that was called less often is not worth the seconds of its tuning."""
DEMAND_SHARE = 0.25
RACE_SHARE = 0.1
"""Of the budget, for timing the sizes between the planned ones."""
_MARK = "hipbmm-dispatch-check"
_VERSION = 1
_UNKNOWN = "whether it works here is not known"


class Answer(NamedTuple):
    """Whether the plugin works on an image and a stack; `reason` says why not. `bands` says what is padded."""

    works: bool
    reason: str = ""
    bands: tuple[Band, ...] = ()


class Outlook(NamedTuple):
    """What is known before the tuning: the plan, why it must be the file ("" when memory is possible), the answer."""

    plan: Plan
    obstacle: str
    key: str = ""
    known: Answer | None = None
    notes: tuple[str, ...] = ()


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
    """Why vLLM would not load the plugin from `program`, "" when it does.

    vLLM loads all plugins, or those that VLLM_PLUGINS names: a list with commas, no blanks taken away
    (vllm/envs.py, vllm/plugins/__init__.py).
    """
    named = env.get("VLLM_PLUGINS")
    if named is not None and tables.PLUGIN not in named.split(","):
        return f"VLLM_PLUGINS leaves {tables.PLUGIN} out"
    try:
        names = os.listdir(program)
    except OSError as error:
        return f"{program}: {volumes.describe(error)}"
    if not any(name.startswith(f"{tables.PLUGIN}-") and name.endswith(".dist-info") for name in names):
        return f"there is no plugin in {program}"
    return _isolated(env)


def _isolated(env: Mapping[str, str]) -> str:
    """Why the script `vllm` of this image ignores PYTHONPATH; "" when it does not, or there is none."""
    for directory in os.get_exec_path(env):
        try:
            with open(f"{directory}/vllm", "rb") as file:
                first = file.read(MAX_SHEBANG).partition(b"\n")[0].decode("ascii", "replace")
        except OSError:
            continue
        words = first.removeprefix("#!").split() if first.startswith("#!") else []
        while words and (words[0].endswith("/env") or words[0] == "-S"):
            words.pop(0)
        if len(words) < len(("python3", "-I")):
            return ""
        from hipbmm_kernel.argv import command  # noqa: PLC0415 - a tenth of a start's time, and few scripts need it

        hidden = f"{directory}/vllm starts Python with -I or -E, which hides the plugin"
        return hidden if command.is_isolated(words) else ""
    return ""


def look_ahead(
    settings: Settings, env: Mapping[str, str], identity: Identity, planned: Plan, volume: Volume
) -> Outlook:
    """What is known of this image before the tuning, and the plan for it. Never raises.

    A pod that is not ours may have its rows without a plan, by an answer that does not depend on one.
    """
    reason = "" if settings.dispatch == FILE else obstacle(env, settings.program)
    if settings.dispatch == FILE or reason or not (planned.problems or settings.mode):
        return Outlook(planned, reason)
    thin = (
        planned
        if settings.tokens or not planned.problems
        else plan.thinned(planned, identity.stack.product or cost.DEFAULT_PRODUCT)
    )
    key = key_of(identity, thin)
    problems: list[str] = []
    find = functools.partial(plan_file.find, volume, (settings.store, *settings.mirrors), key, decode, problems)
    try:
        known = within(VOLUME_SECONDS, find)
    except TooLate as late:
        return Outlook(planned, f"{_UNKNOWN}: {late}")
    if known is not None and not known.works:
        return Outlook(planned, known.reason, key, known, tuple(problems))
    return Outlook(thin, "", key, known, tuple(problems))


def entries(plan: Plan, rows: Iterable[Row]) -> tuple[Entry, ...]:
    """An entry for each verified row of the plan's linears, with the bias that it was verified with.

    A plan without linears is that of a server which is not known: all verified rows may be of use to it, without bias.
    """
    shapes = {(each.linear.n, each.linear.k) for each in plan.linears if each.eligible}
    biased = plan.biased
    return tuple(
        Entry(m, n, k, (n, k) in biased, row.algo_index, m)
        for row in rows
        for m, n, k in (row.problem,)
        if row.verified and row.algo_index > 0 and (not plan.linears or (n, k) in shapes)
    )


def wanted(demands: Iterable[Demand], planned: Plan, budget: float, product: str | None) -> list[Problem]:
    """The problems of the plan's linears that production asked for, most called first.

    Those that were called MIN_CALLS times, for at most DEMAND_SHARE of `budget`, GPU seconds.
    """
    shapes = {(each.linear.n, each.linear.k) for each in planned.linears if each.eligible}
    known, found, seconds = frozenset(planned.problems), [], 0.0
    for item in demands:
        problem = Problem(item.m, item.n, item.k)
        if item.calls < MIN_CALLS or item.m > MAX_M or (item.n, item.k) not in shapes or problem in known:
            continue
        if item.bias != ((item.n, item.k) in planned.biased):
            continue
        seconds += cost.tuning_seconds(problem, product or cost.DEFAULT_PRODUCT)
        if seconds > DEMAND_SHARE * budget:
            break
        found.append(problem)
    return found


def in_tuning(
    settings: Settings,
    env: Mapping[str, str],
    outlook: Outlook,
    identity: Identity,
    rows: Callable[[StoreTable], Sequence[Row]],
) -> InTuning | None:
    """The question to one of the tuning's children, None when there is none; `rows` are the rows that a table serves.

    `env` is the server's.
    """
    if settings.dispatch == FILE or outlook.obstacle or outlook.known is not None or not outlook.key:
        return None
    from hipbmm_kernel.dispatch.check import InTuning  # noqa: PLC0415 - nothing of it is needed where it is known

    return InTuning(
        lambda found: Table(identity.stack, entries(outlook.plan, rows(found))),
        {name: env.get(name) or value for name, value in CONTRACT_ENV.items()},
        _check_directory(settings),
        RACE_SHARE * settings.budget_seconds,
    )


def _check_directory(settings: Settings) -> str:
    return f"{settings.home}/dispatch/check"


class Decision:
    """The decision after the tuning. `env` is the server's; without `may_ask` no child starts.

    `checked` is what a child of the tuning has shown already.
    """

    def __init__(
        self,
        settings: Settings,
        env: Mapping[str, str],
        outlook: Outlook,
        volume: Volume,
        clock: Clock,
        stop: Stop,
        checked: Checked | None = None,
        *,
        may_ask: bool,
    ) -> None:
        self._settings = settings
        self._env = env
        self._outlook = outlook
        self._volume = volume
        self._clock = clock
        self._stop = stop
        self._checked = checked
        self._may_ask = may_ask

    def make(self, identity: Identity, rows: Sequence[Row]) -> Dispatch:
        """Write the table where the server is to have it in memory. Never raises."""
        outlook, settings = self._outlook, self._settings
        if settings.dispatch == FILE:
            return Dispatch()
        table = Table(identity.stack, entries(outlook.plan, rows))
        reason = outlook.obstacle or ("" if table.entries else "no row is verified")
        if reason:
            return Dispatch(FILE, reason, outlook.notes)
        known, found = self._answer(table)
        if found.mode == MEMORY:
            padded = bands.with_padding(table.entries, known.bands if known else ())
            try:
                volumes.make_directories(self._volume, os.path.dirname(settings.dispatch_table))
                whole = tables.encode(table._replace(entries=padded))
                volumes.replace_file(self._volume, settings.dispatch_table, whole)
            except (OSError, ValueError) as error:
                words = volumes.describe(error) if isinstance(error, OSError) else str(error)
                return found._replace(mode=FILE, reason=f"{settings.dispatch_table}: {words}")
        return found

    def _answer(self, table: Table) -> tuple[Answer | None, Dispatch]:
        """The image's answer, of the stores or of a child, and what follows from it."""
        settings, key, known = self._settings, self._outlook.key, self._outlook.known
        notes, children, reason = self._outlook.notes, 0, f"{_UNKNOWN}, and no child may start"
        if known is None and (self._checked or self._may_ask):
            children = 0 if self._checked else 1
            known, reason = self._asked(self._checked or self._ask(table))
            notes += self._kept(known) if known else ()
        if known is None:
            notes = (*notes, f"dispatch: {reason}")
            # Who asks for Memory gets it without the proof, and without padding.
            return None, Dispatch(MEMORY if settings.dispatch == MEMORY else FILE, reason, notes, None, children)
        mirrored = plan_file.frame(key, encode(key, known)) if settings.mirror_log else None
        return known, Dispatch(MEMORY if known.works else FILE, known.reason, notes, mirrored, children)

    def _ask(self, table: Table) -> Checked:
        """What a child of its own shows."""
        from hipbmm_kernel.dispatch.check import check  # noqa: PLC0415 - nothing of it is needed where it is known

        env = {**self._env, **{name: value for name, value in CONTRACT_ENV.items() if not self._env.get(name)}}
        settings = self._settings
        directory, seconds = _check_directory(settings), RACE_SHARE * settings.budget_seconds
        return check(table, env, settings.program, directory, seconds, self._clock, self._stop)

    @staticmethod
    def _asked(checked: Checked) -> tuple[Answer | None, str]:
        """A child's answer, or why it has none."""
        if checked.works is None:
            return None, f"{_UNKNOWN}: {checked.reason}"
        return Answer(checked.works, checked.reason, bands.choose(checked.timed)), ""

    def _kept(self, known: Answer) -> tuple[str, ...]:
        key = self._outlook.key
        keep = functools.partial(plans.keep, self._volume, self._settings.store, key, encode(key, known))
        try:
            error = within(VOLUME_SECONDS, keep)
        except TooLate as late:
            error = str(late)
        return (f"whether the table in memory works could not be kept: {error}",) if error else ()


def key_of(identity: Identity, planned: Plan) -> str:
    """16 hex digits of what the answer depends on: the stack, vLLM, AITER, this program and the plan's problems."""
    parts = [_MARK, identity.stack.key, identity.vllm, identity.stack.aiter, installed.read().record, __version__]
    problems = sorted((*problem, problem[1:] in planned.biased) for problem in planned.problems)
    return sha256(json.dumps([*parts, problems]).encode())[:KEY_LENGTH]


def encode(key: str, known: Answer) -> bytes:
    """The file of an answer; the same answer gives the same bytes in every pod."""
    body = {_MARK: _VERSION, "key": key, "works": known.works, "reason": known.reason, "bands": known.bands}
    digest = sha256(canonical(body))
    return canonical({**body, "sha256": digest}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a file of this key. AnswerInvalid when it is cut, damaged, or another file."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get(_MARK) != _VERSION or document.get("key") != key:
        raise AnswerInvalid("not this image's answer about the table in memory")
    digest = document.pop("sha256", None)
    works, reason = document.get("works"), document.get("reason")
    if digest != sha256(canonical(document)) or not isinstance(works, bool) or not isinstance(reason, str):
        raise AnswerInvalid("its digest does not fit its content")
    try:
        return Answer(works, reason, tuple(_band(each) for each in document["bands"]))
    except (KeyError, TypeError) as error:
        raise AnswerInvalid(f"its bands are none: {error}") from error


def _band(values: object) -> Band:
    if not isinstance(values, list) or [type(value) for value in values] != [int, int, bool, int, bool]:
        raise TypeError(f"{values!r}")
    return Band(*values)
