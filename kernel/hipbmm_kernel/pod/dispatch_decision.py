"""The decision whether a pod's server has its table in memory, where nothing speaks against it, and the file.

`warm` imports it for such a pod only.
"""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import CONTRACT_ENV, FILE, MEMORY, Settings, with_contract
from hipbmm_kernel.dispatch import bands
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.bands import Answer, Band
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.image import installed
from hipbmm_kernel.planner.plan import Plan
from hipbmm_kernel.pod.dispatch_table import UNKNOWN, Dispatch, Outlook
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import plans
from hipbmm_kernel.store.table import Table as StoreTable
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import canonical, sha256
from hipbmm_kernel.tune.handover import Handover

if TYPE_CHECKING:
    from hipbmm_kernel.dispatch.check import InTuning

KEY_LENGTH = 16
_MARK = "hipbmm-dispatch-check"
_VERSION = 1


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


def in_tuning(here: Handover, outlook: Outlook, rows: Callable[[StoreTable], Sequence[Row]]) -> "InTuning | None":
    """The question to one of the tuning's children, None when there is none; `rows` are the rows that a table serves.

    The environment is the server's.
    """
    settings = here.settings
    if settings.dispatch == FILE or outlook.obstacle or outlook.known is not None or not outlook.key:
        return None
    from hipbmm_kernel.dispatch.check import InTuning, limits  # noqa: PLC0415 - nothing of it is needed where it is known

    return InTuning(
        lambda found: Table(here.identity.stack, entries(outlook.plan, rows(found))),
        {name: here.env.get(name) or value for name, value in CONTRACT_ENV.items()},
        _check_directory(settings),
        limits(settings.budget_seconds, settings.problem_seconds),
    )


def _check_directory(settings: Settings) -> str:
    return f"{settings.dispatch_directory}/check"


class Decision(NamedTuple):
    """The decision after the tuning, without an obstacle, in the server's environment; who `may_ask` starts a child."""

    here: Handover
    outlook: Outlook
    may_ask: bool

    def make(self, rows: Sequence[Row]) -> Dispatch:
        """Write the table where the server is to have it in memory. Never raises."""
        outlook, settings, volume = self.outlook, self.here.settings, self.here.volume
        table = Table(self.here.identity.stack, entries(outlook.plan, rows))
        if not table.entries:
            return Dispatch(FILE, "no row is verified", outlook.notes)
        known, children = outlook.known or outlook.checked, 0
        if known is None and self.may_ask:
            known, children = self._ask(table), 1
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
        settings, key, notes = self.here.settings, self.outlook.key, self.outlook.notes
        if known is None or known.works is None:
            reason = f"{UNKNOWN}: {known.reason}" if known else f"{UNKNOWN}, and no child may start"
            notes = (*notes, f"dispatch: {reason}")
            # Who asks for Memory gets it without the proof, and without padding.
            return Dispatch(MEMORY, "", notes) if settings.dispatch == MEMORY else Dispatch(FILE, reason, notes)
        notes += self._kept(known) if self.outlook.known is None else ()
        mirrored = plans.frame(key, encode(key, known)) if settings.mirror_log else None
        mode, reason = (MEMORY, "") if known.works else (FILE, known.reason)
        return Dispatch(mode, reason, notes, mirrored)

    def _ask(self, table: Table) -> Answer:
        from hipbmm_kernel.dispatch.check import check, limits  # noqa: PLC0415 - nothing of it is needed where it is known

        here, settings = self.here, self.here.settings
        allowed, env = limits(settings.budget_seconds, settings.problem_seconds), with_contract(here.env)
        return check(table, env, settings.program, _check_directory(settings), allowed, here.clock, here.stop)

    def _kept(self, known: Answer) -> tuple[str, ...]:
        here, key = self.here, self.outlook.key
        error = plans.keep_in_time(here.volume, here.settings.store, key, encode(key, known))
        return (f"whether the table in memory works could not be kept: {error}",) if error else ()


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
