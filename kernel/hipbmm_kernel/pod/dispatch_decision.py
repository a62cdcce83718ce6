"""Whether this pod's server has its table in memory, and the file with that table.

`Memory` needs verified rows, the plugin beside the program, and a VLLM_PLUGINS that does not leave it out. A child says
whether it works on this image and which sizes between the planned ones are to be padded (`dispatch.check`), once per
image, stack, plan and version of this program: the answer is kept in the store and in the mirror, beside the plans.

Where the table may be in memory, the sizes that an eager server meets are planned on the grid only: the others are
padded. With the file each of them needs a row of its own.
"""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import FILE, MEMORY, with_contract
from hipbmm_kernel.dispatch import bands, plugins
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.bands import Answer, Band
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.image import installed
from hipbmm_kernel.planner import cost, plan
from hipbmm_kernel.planner.plan import Plan
from hipbmm_kernel.pod.stores import Stores
from hipbmm_kernel.rows.gemm import MAX_M, Problem, Row
from hipbmm_kernel.store import plans
from hipbmm_kernel.store.table import Table as StoreTable
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import canonical, sha256
from hipbmm_kernel.system.time_limits import TooLate
from hipbmm_kernel.tune.handover import Handover

if TYPE_CHECKING:
    from hipbmm_kernel.dispatch.check import InTuning

KEY_LENGTH = 16
MIN_CALLS = 1000
"""A problem that was called less often is not worth the seconds of its tuning."""
DEMAND_SHARE = 0.25
UNKNOWN = "whether it works here is not known"
_MARK = "hipbmm-dispatch-check"
_VERSION = 1


class Dispatch(NamedTuple):
    """`mode` is Memory or File, `reason` why it is File though it was not asked for; `children` were asked."""

    mode: str = FILE
    reason: str = ""
    children: int = 0


class Decision:
    """The decision of one run of `warm`; `plan` is the plan for it, `notes` are for the report.

    It is `settled` where something speaks against memory. `checked` is what a child of the tuning has shown.
    """

    def __init__(self, here: Handover, stores: Stores, planned: Plan) -> None:
        self._here = here
        self._stores = stores
        self._key = ""
        self._known: Answer | None = None
        self.plan = planned
        self.notes: list[str] = []
        self.checked: Answer | None = None
        self.settled = self._look_ahead()

    def _look_ahead(self) -> Dispatch | None:
        """Find out what is known of this image before the tuning, and the plan for it. Never raises.

        A pod that is not ours may have its rows without a plan, by an answer that does not depend on one.
        """
        settings, identity = self._here.settings, self._here.identity
        reason = "" if settings.dispatch == FILE else plugins.obstacle(self._here.env, settings.program)
        if settings.dispatch == FILE or reason:
            return Dispatch(FILE, reason)
        if not (self.plan.problems or settings.mode):
            return None
        thin = self.plan if settings.tokens else plan.thinned(self.plan, identity.stack.product)
        self._key = key_of(identity, thin)
        problems: list[str] = []
        try:
            self._known = self._stores.find_plan(self._key, decode, problems)
        except TooLate as late:
            return Dispatch(FILE, f"{UNKNOWN}: {late}")
        self.notes = problems
        if self._known is not None and not self._known.works:
            return Dispatch(FILE, self._known.reason)
        self.plan = thin
        return None

    def in_tuning(self, env: Mapping[str, str], rows: Callable[[StoreTable], Sequence[Row]]) -> "InTuning | None":
        """The question to one of the tuning's children, None when there is none.

        `env` is the server's, `rows` are the rows that a table serves.
        """
        if self.settled or self._known is not None or not self._key:
            return None
        from hipbmm_kernel.dispatch.check import InTuning  # noqa: PLC0415 - not needed where it is known

        stack = self._here.identity.stack
        return InTuning(lambda found: Table(stack, entries(self.plan, rows(found))), env, self._here.settings)

    def make(self, env: Mapping[str, str], rows: Sequence[Row], *, may_ask: bool) -> Dispatch:
        """Write the table where the server, with `env`, is to have it in memory, if nothing is settled. Never raises.

        Who `may_ask` starts a child where nothing is known.
        """
        settings, volume = self._here.settings, self._here.volume
        table = Table(self._here.identity.stack, entries(self.plan, rows))
        if not table.entries:
            return Dispatch(FILE, "no row is verified")
        known, children = self._known or self.checked, 0
        if known is None and may_ask:
            from hipbmm_kernel.dispatch.check import check  # noqa: PLC0415 - same

            known, children = check(table, with_contract(env), settings, self._here.clock, self._here.stop), 1
        found = self._follows(known)._replace(children=children)
        if found.mode == MEMORY:
            padded = bands.with_padding(table.entries, known.bands if known else ())
            try:
                volumes.make_directories(volume, settings.dispatch_directory)
                whole = tables.encode(table._replace(entries=padded))
                volumes.replace_file(volume, settings.dispatch_table, whole)
            except (OSError, ValueError) as error:
                return found._replace(mode=FILE, reason=f"{settings.dispatch_table}: {volumes.describe(error)}")
        return found

    def _follows(self, known: Answer | None) -> Dispatch:
        """What follows from the image's answer, which is kept if it is new. Nobody was asked where it is None."""
        if known is None or known.works is None:
            reason = f"{UNKNOWN}: {known.reason}" if known else f"{UNKNOWN}, and no child may start"
            self.notes.append(f"dispatch: {reason}")
            # Who asks for Memory gets it without the proof, and without padding.
            return Dispatch(MEMORY) if self._here.settings.dispatch == MEMORY else Dispatch(FILE, reason)
        error = self._stores.keep_plan(self._key, encode(self._key, known), new=self._known is None)
        if error:
            self.notes.append(f"whether the table in memory works could not be kept: {error}")
        return Dispatch(MEMORY) if known.works else Dispatch(FILE, known.reason)


def entries(plan: Plan, rows: Iterable[Row]) -> tuple[Entry, ...]:
    """An entry for each verified row and each linear of the plan that calls it, with a bias or without.

    A row is verified for both. A plan without linears is that of a server which is not known: all verified rows may be
    of use to it, without bias.
    """
    calls = plan.calls
    return tuple(
        Entry(m, n, k, bias, row.algo_index, m)
        for row in rows
        for m, n, k in (row.problem,)
        for bias in (False, True)
        if row.verified and row.algo_index > 0 and ((n, k, bias) in calls if plan.linears else not bias)
    )


def demanded(demands: Iterable[Demand], planned: Plan, budget: float, product: str | None) -> list[Problem]:
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


def key_of(identity: Identity, planned: Plan) -> str:
    """16 hex digits of what the answer depends on: the stack, vLLM, AITER, this program and the plan's problems."""
    parts = [_MARK, identity.stack.key, identity.vllm, identity.stack.aiter, installed.read().record, __version__]
    return sha256(json.dumps([*parts, sorted(planned.problems), sorted(planned.calls)]).encode())[:KEY_LENGTH]


def encode(key: str, known: Answer) -> bytes:
    """The file of an answer; the same answer gives the same bytes in every pod."""
    body = {_MARK: _VERSION, "key": key, "works": known.works, "reason": known.reason, "bands": known.bands}
    digest = sha256(canonical(body))
    return canonical({**body, "sha256": digest}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a file of this key. ValueError when it is cut, damaged, or another file."""
    document = plans.document(key, data)
    if document.get(_MARK) != _VERSION:
        raise ValueError("not this image's answer about the table in memory")
    digest = document.pop("sha256", None)
    works, reason = document.get("works"), document.get("reason")
    if digest != sha256(canonical(document)) or not isinstance(works, bool) or not isinstance(reason, str):
        raise ValueError("its digest does not fit its content")
    try:
        return Answer(works, reason, tuple(_band(each) for each in document["bands"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"its bands are none: {error}") from error


def _band(values: object) -> Band:
    if not isinstance(values, list) or [type(value) for value in values] != [int, int, bool, int, bool]:
        raise TypeError(f"{values!r}")
    return Band(*values)
