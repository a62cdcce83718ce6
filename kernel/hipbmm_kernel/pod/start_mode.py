"""How a server is started after it ended: a pure decision, so that a crash loop is never ours.

A container restart does not run init containers again, so a table that crashes the server would crash it for ever. Two
early ends take the table away, three take HIPBMM away, four give the server its own environment back, in which AITER
is what the user made it.
"""

from collections.abc import Mapping
from typing import NamedTuple

TUNED = "Tuned"
NO_TABLE = "NoTable"
NO_HIPBMM = "NoHipbmm"
NO_AITER = "NoAiter"
MODES = (TUNED, NO_TABLE, NO_HIPBMM, NO_AITER)
"""From the most of ours to the least."""

ENDS = {TUNED: 0, NO_TABLE: 2, NO_HIPBMM: 3, NO_AITER: 4}
"""How many early ends lead to each mode."""

ENDS_WITHOUT_HIPBMM = 2
"""Early ends that lead to NoAiter when the report of `warm` already says NoHipbmm."""

PROVEN_WINDOWS, PROVEN_SECONDS = 48.0, 86_400.0
"""A run of so many warm-up windows, a day at least, proves its mode: some rows are first used after hours, also where
the server is soon ready."""


ORDERLY_STARTS = 20
"""From this start on an orderly end counts, too: whatever ends a server again and again in an orderly way, it is not to
be us."""

REFUSED_SECONDS = 60.0
"""vLLM takes 10 to 20 s to refuse arguments; a server that ran longer has not been refused after all."""


class State(NamedTuple):
    """What is remembered from one start of the server to the next.

    `started` is monotonic seconds of boot `boot`, which is "" as long as no server was started.
    `crashes` counts early ends, `attempts` runs of `warm` that have not come to their end.
    """

    starts: int = 0
    crashes: int = 0
    mode: str = TUNED
    reason: str = ""
    started: float = 0.0
    boot: str = ""
    attempts: int = 0


def next_start(
    before: State,
    report: Mapping[str, object] | None,
    now: float,
    boot: str,
    window: float,
    *,
    orderly: bool = False,
) -> State:
    """The state of the start that happens now, at monotonic second `now` of boot `boot`; `report` None: there is none.

    A container starts again only because the last one ended; with which status cannot be seen. An end counts unless the
    server had proved its mode by a long run (then only what led to that mode stays counted), the node had booted, it
    ended at once and vLLM refuses its arguments (a typo), or all its processes ended in an `orderly` way.
    """
    crashes, ran = before.crashes, now - before.started
    if before.boot == boot and ran >= 0:
        if ran >= _proven(window):
            crashes = min(crashes, ENDS.get(before.mode, 0))
        elif not ((orderly and before.starts < ORDERLY_STARTS) or (_refused(report) and ran < REFUSED_SECONDS)):
            crashes += 1
    mode, reason = _mode(crashes, report)
    return before._replace(starts=before.starts + 1, crashes=crashes, mode=mode, reason=reason, started=now, boot=boot)


def _proven(window: float) -> float:
    """Seconds after which a run has proved its mode; none where a start takes no time, since every run does then."""
    return max(PROVEN_WINDOWS * window, PROVEN_SECONDS) if window else 0.0


def _refused(report: Mapping[str, object] | None) -> bool:
    return report is not None and report.get("refused") is True


def _mode(crashes: int, report: Mapping[str, object] | None) -> tuple[str, str]:
    """The mode after so many early ends. Without a table AITER tunes again, so never where its choice was wrong."""
    ended = f"the server ended {crashes} times soon after its start"
    off, doubted = _off(report), report is not None and bool(report.get("doubted"))
    if crashes >= (ENDS_WITHOUT_HIPBMM if off else ENDS[NO_AITER] - doubted):
        return NO_AITER, f"{ended}, also without HIPBMM"
    if off:
        return NO_HIPBMM, off
    if crashes >= ENDS[NO_HIPBMM]:
        return NO_HIPBMM, f"{ended}, also without the table"
    if crashes < ENDS[NO_TABLE]:
        return TUNED, ""
    return (NO_HIPBMM, f"{ended}, and AITER alone may choose what is wrong") if doubted else (NO_TABLE, ended)


def _off(report: Mapping[str, object] | None) -> str:
    """Why HIPBMM is off after `warm`; "" when its report says that it is not."""
    if report is None:
        return "there is no report of `warm`"
    return "" if report.get("hipbmm") is True else str(report.get("reason") or "the report does not say that it is on")


def without_hipbmm(state: State, reason: str) -> State:
    """The same start where something of ours that a start needs is broken: HIPBMM is off in it."""
    if MODES.index(state.mode) >= MODES.index(NO_HIPBMM):
        return state
    return state._replace(mode=NO_HIPBMM, reason=reason)


def uncounted(state: State, reason: str) -> State:
    """The same start where it cannot be known how many ended before: nothing of ours may be what ends the server."""
    return state if state.mode == NO_AITER else state._replace(mode=NO_AITER, reason=reason)


def blocked(state: State, report: Mapping[str, object] | None) -> str | None:
    """Why policy Block forbids this start, or None."""
    if report is None:
        return "there is no report of `warm`"
    if report.get("state") != "Complete":
        return f"the table is not complete: {report.get('state')}, {report.get('reason')}: {report.get('message')}"
    if state.mode != TUNED:
        return state.reason
    return None
