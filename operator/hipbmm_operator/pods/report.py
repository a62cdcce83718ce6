"""What a pod's containers say of themselves: the report and progress of `warm`, lines of `exec` and of the sidecar.

Every field is checked and bounded: pods are not trusted. docs/pod-contract.md has the formats.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hipbmm_operator.api.reasons import Foreign

STATES = frozenset({"Complete", "Partial", "Unsupported", "Disabled", "NoPlan", "Failed"})
SOURCES = frozenset({"Tuned", "Restored", "Mixed", "None"})
MEMORY, FILE, UNKNOWN = "Memory", "File", "Unknown"
DISPATCHES = frozenset({MEMORY, FILE})
WORD = re.compile(r"^[A-Za-z][A-Za-z0-9]{0,63}$")
_KEY = re.compile(r"^(unknown|[0-9a-f]{16})$")
_MAX_COUNT = 10_000_000
_MAX_TEXT = 256
_MAX_MIRROR_SHARDS = 4
_MAX_MIRROR_LINES = 1000
SHARD_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\.(?:0|[1-9][0-9]{0,9})\.[0-9a-f]{12}\.csv$")
"""A shard's file name: origin, number there, and the start of the sha256 that its last line carries."""
_STACK_TEXTS = ("arch", "product", "partition", "memoryPartition", "hipblaslt", "aiter", "rocm", "fp8")
_PROGRESS = re.compile(r"hipbmm progress ((?:[a-z_]+=[^\s=]{1,32} ?)+)\s*$")
TUNING, IMPROVING, CHECKING = "Tuning", "Improving", "Checking"
LAST_PHASES = (IMPROVING, CHECKING)
"""Of a tuning whose problems are all done: faster kernels are searched, a child checks the table in memory."""
TUNED, NO_TABLE, NO_HIPBMM, NO_AITER = "Tuned", "NoTable", "NoHipbmm", "NoAiter"
MODES = (TUNED, NO_TABLE, NO_HIPBMM, NO_AITER)
"""How `exec` starts a server, from the most of ours to the least."""
_START = re.compile(r"^hipbmm exec: start (?:[0-9]{1,9} )?of the server, mode ([A-Za-z]+)(?:: (.*))?$", re.MULTILINE)
_SERVED_FROM = re.compile(r"^hipbmm harvest: dispatch ([A-Za-z]+): (.*)$", re.MULTILINE)
_FROM_FILE = re.compile(r"^hipbmm exec: dispatch File: (.*)$", re.MULTILINE)


def _text(value: object, limit: int = _MAX_TEXT) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:limit])


def _word(words: frozenset[str], value: object, default: str) -> str:
    return value if isinstance(value, str) and value in words else default


def _match(pattern: re.Pattern[str], value: object, default: str) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else default


def _object(value: object) -> Mapping[str, Any]:
    # Not that of kube/: the kernel program's tests use this file, where there is no orjson.
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class ServedFrom:
    """Where a server's processes find their rows: Memory, File, Unknown, or "" (not said); and why it is not Memory."""

    mode: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one `warm`, every field checked: pods are not trusted."""

    state: str
    reason: Foreign
    message: str = ""
    key: str = ""
    stack: Mapping[str, str | int | bool] = field(default_factory=dict)
    plan_source: str = ""
    problems: int = 0
    tuned: int = 0
    failed: int = 0
    source: str = "None"
    seconds: int = 0
    geomean: str | None = None
    rows: int = 0
    digest: str = ""
    unproven: tuple[str, ...] = ()
    unplanned: int = 0
    served: ServedFrom = ServedFrom()
    storage_writable: bool = True
    storage_error: str = ""
    mirror_shards: tuple[str, ...] = ()
    mirror_lines: int = 0
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """All problems of the plan have a row."""
        return self.state == "Complete"


def parse_report(text: str) -> Report | None:
    """The report in a termination message; None when it is none (a crash leaves a log tail or nothing)."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or raw.get("v") != 1:
        return None
    state = _word(STATES, raw.get("state"), "")
    if not state:
        return None
    storage, mirror = _object(raw.get("storage")), _object(raw.get("mirror"))
    return Report(
        state=state,
        reason=Foreign(_match(WORD, raw.get("reason"), state)),
        message=_text(raw.get("message"), 1024),
        key=_match(_KEY, raw.get("key"), ""),
        stack=_stack(_object(raw.get("stack"))),
        plan_source=_text(_object(raw.get("plan")).get("source")),
        problems=_count(raw.get("problems")),
        tuned=_count(raw.get("tuned")),
        failed=_count(raw.get("failed")),
        source=_word(SOURCES, raw.get("source"), "None"),
        seconds=_count(raw.get("seconds")),
        geomean=_match(re.compile(r"^[0-9]{1,6}(\.[0-9]{1,6})?$"), raw.get("geomean"), "") or None,
        rows=_count(raw.get("rows")),
        digest=_match(re.compile(r"^sha256:[0-9a-f]{64}$"), raw.get("digest"), ""),
        unproven=tuple(_text(entry) for entry in _list(raw.get("unproven"))[:8]),
        unplanned=_count(raw.get("unplanned")),
        served=ServedFrom(_word(DISPATCHES, raw.get("dispatch"), ""), _text(raw.get("dispatchReason"))),
        storage_writable=storage.get("writable") is not False,
        storage_error=_text(storage.get("error")),
        mirror_shards=_shards(mirror.get("shards")),
        mirror_lines=min(_count(mirror.get("lines")), _MAX_MIRROR_LINES),
        errors=tuple(_text(entry) for entry in _list(raw.get("errors"))[:5]),
        notes=tuple(_text(entry) for entry in _list(raw.get("notes"))[:8]),
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress line of `warm`. `elapsed`, its seconds, is no progress: it says only that `warm` lives."""

    phase: str
    tuned: int
    problems: int
    failed: int = 0
    verified: int = 0
    elapsed: int = field(default=0, compare=False)

    @property
    def all_done(self) -> bool:
        """Whether every problem has its end: what follows, or still runs, shows in no count."""
        return self.phase in LAST_PHASES or (self.tuned + self.failed >= self.problems and self.verified >= self.tuned)

    @property
    def verifying(self) -> bool:
        """Whether all that is left is to verify rows of the store that nobody has verified."""
        return self.phase == TUNING and self.tuned + self.failed >= self.problems and self.verified < self.tuned


def parse_progress(log: str) -> Progress | None:
    """The last progress line of a log; None without one."""
    for line in reversed(log.split("\n")):
        found = _PROGRESS.search(line)
        if found is None:
            continue
        words = dict(word.split("=", 1) for word in found[1].split())
        if WORD.fullmatch(words.get("phase", "")):
            return Progress(
                phase=words["phase"],
                tuned=_number(words.get("tuned")),
                problems=_number(words.get("problems")),
                failed=_number(words.get("failed")),
                verified=_number(words.get("verified", words.get("tuned"))),  # without a count none is to be verified
                elapsed=_number(words.get("elapsed_s")),
            )
    return None


@dataclass(frozen=True, slots=True)
class Start:
    """How `exec` started the server: `mode` is a value of MODES, `reason` says why it is not "Tuned".

    `from_file` says why the table is not in memory although `warm` found that it can be; "" when it is.
    """

    mode: str
    reason: str = ""
    from_file: str = ""


def parse_start(log: str) -> Start | None:
    """What the beginning of the server's log says about its start; None when it does not."""
    found = _START.search(log)
    if found is None or found[1] not in MODES:
        return None
    from_file = _FROM_FILE.search(log)
    return Start(found[1], _text(found[2]), _text(from_file[1]) if from_file else "")


def parse_served_from(log: str) -> ServedFrom | None:
    """The last line about it in the log of the sidecar; None when there is none, or one of another version."""
    found = _SERVED_FROM.findall(log)
    mode, reason = found[-1] if found else ("", "")
    return ServedFrom(mode, _text(reason)) if mode in (MEMORY, FILE, UNKNOWN) else None


def _number(text: str | None) -> int:
    return min(int(text), _MAX_COUNT) if text and text.isascii() and text.isdigit() and len(text) <= 9 else 0  # noqa: PLR2004  # digits of _MAX_COUNT and two more


def _stack(raw: Mapping[str, Any]) -> dict[str, str | int | bool]:
    texts = {name: _text(raw[name]) for name in _STACK_TEXTS if isinstance(raw.get(name), str)}
    units = {"computeUnits": _count(raw["computeUnits"])} if raw.get("computeUnits") is not None else {}
    return texts | units | ({"simulated": raw["simulated"]} if isinstance(raw.get("simulated"), bool) else {})


def _shards(value: object) -> tuple[str, ...]:
    names = [_match(SHARD_NAME, entry, "") for entry in _list(value)[:_MAX_MIRROR_SHARDS]]
    return tuple(name for name in names if name)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124  # NaN
        return 0
    return int(max(0, min(value, _MAX_COUNT)))
