"""Whether this pod's server has its table in memory, and the file with that table.

`Memory` needs verified rows, the plugin beside the program, and a VLLM_PLUGINS that does not leave it out. Setting
`Auto` also needs the proof that it works on this image. A child gives it (`dispatch.check`) once per image, stack and
version of this program: the answer is kept in the store and in the mirror, beside the plans.
"""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import CONTRACT_ENV, FILE, MEMORY
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.image import installed, plan_file
from hipbmm_kernel.planner.answer import AnswerInvalid
from hipbmm_kernel.store import plans
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.time_limits import TooLate, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hipbmm_kernel.contract.settings import Settings
    from hipbmm_kernel.identity.container import Identity
    from hipbmm_kernel.planner.plan import Plan
    from hipbmm_kernel.rows.gemm import Row
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop
    from hipbmm_kernel.system.volume import Volume

VOLUME_SECONDS = 10.0
"""For an answer on a shared volume; beyond it the answer is not known."""
KEY_LENGTH = 16
_MARK = "hipbmm-dispatch-check"
_VERSION = 1


class Dispatch(NamedTuple):
    """`mode` is Memory or File, `reason` why it is File though it was not asked for.

    `mirrored` is what a mirror holds of the image's answer.
    """

    mode: str = FILE
    reason: str = ""
    notes: tuple[str, ...] = ()
    mirrored: tuple[str, bytes] | None = None
    children: int = 0


class Answer(NamedTuple):
    """Whether the plugin works on an image and a stack; `reason` says why not."""

    works: bool
    reason: str


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
    return ""


def entries(plan: Plan, rows: Iterable[Row]) -> tuple[Entry, ...]:
    """An entry for each verified row of the plan's linears, with the bias that it was verified with."""
    shapes = {(each.linear.n, each.linear.k) for each in plan.linears if each.eligible}
    biased = plan.biased
    return tuple(
        Entry(m, n, k, (n, k) in biased, row.algo_index, m)
        for row in rows
        for m, n, k in (row.problem,)
        if row.verified and row.algo_index > 0 and (n, k) in shapes
    )


def decide(
    settings: Settings,
    env: Mapping[str, str],
    identity: Identity,
    plan: Plan,
    rows: Sequence[Row],
    volume: Volume,
    clock: Clock,
    stop: Stop,
    *,
    may_ask: bool,
) -> Dispatch:
    """Write the table where the server is to have it in memory. Never raises.

    `env` is the server's. Without `may_ask` no child starts: what is not known yet is File.
    """
    if settings.dispatch == FILE:
        return Dispatch()
    table = Table(identity.stack, entries(plan, rows))
    reason = obstacle(env, settings.program) or ("" if table.entries else "no row is verified")
    if reason:
        return _file(reason)
    found = Dispatch(MEMORY)
    if settings.dispatch != MEMORY:
        found = _proven(settings, env, identity, table, volume, clock, stop, may_ask=may_ask)
    if found.mode == MEMORY:
        try:
            volumes.make_directories(volume, os.path.dirname(settings.dispatch_table))
            volumes.replace_file(volume, settings.dispatch_table, tables.encode(table))
        except (OSError, ValueError) as error:
            words = volumes.describe(error) if isinstance(error, OSError) else str(error)
            return found._replace(mode=FILE, reason=f"{settings.dispatch_table}: {words}")
    return found


def _file(reason: str, children: int = 0) -> Dispatch:
    return Dispatch(FILE, reason, children=children)


def _proven(
    settings: Settings,
    env: Mapping[str, str],
    identity: Identity,
    table: Table,
    volume: Volume,
    clock: Clock,
    stop: Stop,
    *,
    may_ask: bool,
) -> Dispatch:
    """Memory where this image has shown that it works: in the stores' answer, else in that of a child."""
    key = key_of(identity)
    problems: list[str] = []
    roots = (settings.store, *settings.mirrors)
    find = functools.partial(plan_file.find, volume, roots, key, decode, problems)
    try:
        known = within(VOLUME_SECONDS, find)
    except TooLate as late:
        return _file(f"whether it works here is not known: {late}")
    children = 0
    if known is None:
        if not may_ask:
            return _file("whether it works here is not known, and no child may start")
        from hipbmm_kernel.dispatch.check import check  # noqa: PLC0415 - nothing of it is needed where it is known

        server = {**env, **{name: value for name, value in CONTRACT_ENV.items() if not env.get(name)}}
        checked = check(table, server, settings.program, f"{settings.home}/dispatch/check", clock, stop)
        children = 1
        if checked.works is None:
            return _file(f"whether it works here is not known: {checked.reason}", children)
        known = Answer(checked.works, checked.reason)
        problems += _kept(settings, volume, key, known)
    mirrored = plan_file.frame(key, encode(key, known)) if settings.mirror_log else None
    return Dispatch(MEMORY if known.works else FILE, known.reason, tuple(problems), mirrored, children)


def _kept(settings: Settings, volume: Volume, key: str, known: Answer) -> list[str]:
    keep = functools.partial(plans.keep, volume, settings.store, key, encode(key, known))
    try:
        error = within(VOLUME_SECONDS, keep)
    except TooLate as late:
        error = str(late)
    return [f"whether the table in memory works could not be kept: {error}"] if error else []


def key_of(identity: Identity) -> str:
    """16 hex digits of what the answer depends on: the stack, vLLM, AITER and this program."""
    parts = [_MARK, identity.stack.key, identity.vllm, identity.stack.aiter, installed.read().record, __version__]
    return sha256(json.dumps(parts).encode())[:KEY_LENGTH]


def encode(key: str, known: Answer) -> bytes:
    """The file of an answer; the same answer gives the same bytes in every pod."""
    body = {_MARK: _VERSION, "key": key, "works": known.works, "reason": known.reason}
    digest = sha256(_canonical(body))
    return _canonical({**body, "sha256": digest}) + b"\n"


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
    if digest != sha256(_canonical(document)) or not isinstance(works, bool) or not isinstance(reason, str):
        raise AnswerInvalid("its digest does not fit its content")
    return Answer(works, reason)


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
