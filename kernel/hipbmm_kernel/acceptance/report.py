"""What a check comes to, and what all came to: one JSON document for machines, one page for people. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PASS = "pass"
FAIL = "fail"
SKIP = "skip"

Evidence = dict[str, Any]


class Verdict(NamedTuple):
    """`summary` is one sentence; `evidence` holds what was seen, whatever the outcome."""

    outcome: str
    summary: str
    evidence: Evidence


def judged(holds: bool, yes: str, no: str, evidence: Evidence) -> Verdict:
    """Pass with the sentence `yes` when the claim holds, else fail with `no`."""
    return Verdict(PASS, yes, evidence) if holds else Verdict(FAIL, no, evidence)


def skipped(why: str, evidence: Evidence | None = None) -> Verdict:
    """Nothing was shown, and why."""
    return Verdict(SKIP, why, evidence or {})


def failed(why: str, evidence: Evidence | None = None) -> Verdict:
    """The claim does not hold."""
    return Verdict(FAIL, why, evidence or {})


VERSION = 1
"""Of the JSON document. Fields are added without a new version, never renamed or removed."""


def checked(name: str, claim: str, verdict: Verdict, seconds: float) -> dict[str, Any]:
    """One check that was run or skipped, and how many seconds it took, as it is in the document."""
    return {"name": name, "claim": claim, **verdict._asdict(), "seconds": round(seconds, 3)}


def document(about: Mapping[str, object], checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON document. `about` has program, time, simulated, key, stack and problems: what ran, when and where.

    The outcome is `fail` when one failed, `pass` when one passed and none failed, else `skip`.
    """
    counts = {outcome: sum(check["outcome"] == outcome for check in checks) for outcome in (PASS, FAIL, SKIP)}
    return {
        "v": VERSION,
        "kind": "hipbmm-acceptance",
        **about,
        "outcome": FAIL if counts[FAIL] else PASS if counts[PASS] else SKIP,
        "counts": counts,
        "seconds": round(sum(check["seconds"] for check in checks), 3),
        "checks": checks,
    }


def encoded(found: Mapping[str, Any]) -> bytes:
    """The document's bytes: ASCII, NaN and infinity as null, since JSON has neither."""
    finite = json.loads(json.dumps(found), parse_constant=lambda _name: None)
    return json.dumps(finite, indent=1, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def page(found: Mapping[str, Any]) -> str:
    """The page for people, in Markdown."""
    counts, stack = found["counts"], found["stack"]
    counted = f"{counts[PASS]} passed, {counts[FAIL]} failed, {counts[SKIP]} skipped"
    lines = [
        "# Acceptance of the HIPBMM kernel program",
        "",
        f"**{found['outcome'].upper()}**: {counted}, {found['seconds']:.0f} s",
        "",
        f"{found['time']}, program {found['program']}, stack {found['key']}: {_described(stack)}",
        "",
    ]
    if found["simulated"]:
        lines += ["SIMULATED GPU: this exercises the checks and says nothing about hardware.", ""]
    lines += ["| check | outcome | s | what was seen |", "|---|---|---|---|"]
    lines += [_row(check) for check in found["checks"]]
    lines += ["", "## The claims", ""]
    lines += [f"- **{check['name']}**: {check['claim']}" for check in found["checks"]]
    return "\n".join(lines) + "\n"


def _row(check: Mapping[str, Any]) -> str:
    summary = " ".join(check["summary"].replace("|", "\\|").split())[:300]
    return f"| {check['name']} | {check['outcome']} | {check['seconds']:.1f} | {summary} |"


def _described(stack: Mapping[str, Any]) -> str:
    names = ("product", "arch", "computeUnits", "partition", "memoryPartition", "hipblaslt", "aiter", "rocm", "fp8")
    return ", ".join(f"{name} {stack.get(name) or 'unknown'}" for name in names)
