"""How a server is started after it crashed: a pure decision, so that a crash loop is never ours.

A container restart does not run init containers again, so a table that crashes the server would crash it for ever. Two
crashes within the warm-up window take the table away, three take HIPBMM away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

TUNED = "Tuned"
NO_TABLE = "NoTable"
NO_HIPBMM = "NoHipbmm"

CRASHES_WITHOUT_TABLE = 2
CRASHES_WITHOUT_HIPBMM = 3


class State(NamedTuple):
    """What is remembered from one start of the server to the next. `started` is monotonic seconds of boot `boot`."""

    starts: int = 0
    crashes: int = 0
    mode: str = TUNED
    reason: str = ""
    started: float = 0.0
    boot: str = ""


def next_start(before: State, report: Mapping[str, object] | None, now: float, boot: str, window: float) -> State:
    """The state of the start that happens now, at monotonic second `now` of boot `boot`.

    A container starts again only because the last one ended. It counts against the table when that was within `window`
    seconds of its start; a server that ran longer had proved its table, and another boot ends all servers.
    """
    crashed = before.starts > 0 and before.boot == boot and 0 <= now - before.started < window
    crashes = before.crashes + crashed
    mode, reason = _mode(crashes, report)
    return State(before.starts + 1, crashes, mode, reason, now, boot)


def _mode(crashes: int, report: Mapping[str, object] | None) -> tuple[str, str]:
    if report is not None and report.get("hipbmm") is False:
        return NO_HIPBMM, str(report.get("reason") or "")
    if crashes >= CRASHES_WITHOUT_HIPBMM:
        return NO_HIPBMM, f"the server crashed {crashes} times while it warmed up, also without the table"
    if crashes >= CRASHES_WITHOUT_TABLE:
        return NO_TABLE, f"the server crashed {crashes} times while it warmed up"
    return TUNED, ""


def blocked(state: State, report: Mapping[str, object] | None) -> str | None:
    """Why policy Block forbids this start, or None."""
    if report is None:
        return "there is no report of `warm`"
    if report.get("state") != "Complete":
        return f"the table is not complete: {report.get('state')}, {report.get('reason')}: {report.get('message')}"
    if state.mode != TUNED:
        return state.reason
    return None
