"""``python -m hipbmm_operator explain``: why pods were injected, or were not, from what kubectl prints of them.

The words are the operator's own: the same tables and the same reasons as in the status of a profile.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TextIO

from hipbmm_operator.cli import output
from hipbmm_operator.injection import patch, spelling
from hipbmm_operator.kube import metadata
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, as_objects, object_at, objects_at
from hipbmm_operator.pods import report as reports
from hipbmm_operator.profiles import pods
from hipbmm_operator.profiles.report import UNLABELLED, WORDS

USAGE: Final = """usage: kubectl get pods,hipbmmprofiles -o json | python -m hipbmm_operator explain [-o json]

  Reads Pods and the HipbmmProfiles of their namespaces, and says of each pod: which profile, injected or not, and why.
"""
FINE, UNREADABLE, WRONG_USAGE = 0, 1, 2
LARGEST_CHARACTERS: Final = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one pod. `reason` is one of docs/any-pod.md for a plain pod, of `warm` for an injected one."""

    pod: str
    workload: str
    profile: str
    injected: bool
    mode: str
    kernel: str
    reason: str
    message: str
    remedy: str


def explain_command(argv: Sequence[str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Run the command: 0 when the input was read, whatever it says; 1 when it is no JSON of kubectl; 2 wrong usage."""
    if list(argv) in (["-h"], ["--help"]):
        stdout.write(USAGE)
        return FINE
    if list(argv) not in ([], ["-o", "json"]):
        stderr.write(USAGE)
        return WRONG_USAGE
    try:
        found = explained(list(_documents(stdin.read(LARGEST_CHARACTERS))))
    except (ValueError, RecursionError) as error:
        stderr.write(f"error: the input is no JSON of kubectl: {error}\n")
        return UNREADABLE
    if argv:
        output.write(stdout, json.dumps([asdict(each) for each in found], indent=2) + "\n")
    else:
        text = "\n".join("".join(_lines(each)) for each in found)
        output.write(stdout, text or "no pod that asks for a profile\n")
    return FINE


def _documents(text: str) -> Iterator[Json]:
    """All that kubectl printed, one answer behind the other."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    while rest:
        body, end = decoder.raw_decode(rest)
        yield as_object(body)
        rest = rest[end:].lstrip()


def explained(bodies: Sequence[Json]) -> list[Explanation]:
    """One for each pod of kubectl's lists and single objects that has to do with a profile."""
    objects = [each for body in bodies for each in (as_objects(body["items"]) if "items" in body else [body])]
    profiles = [each for each in objects if each.get("kind") == "HipbmmProfile"]
    every = (_explained(each, profiles) for each in objects if each.get("kind") == "Pod")
    return [each for each in every if each is not None]


def _explained(pod: Json, profiles: Sequence[Json]) -> Explanation | None:
    meta = metadata.parse(pod)
    neighbours = [each for each in profiles if metadata.parse(each).namespace == meta.namespace]
    named = str(meta.labels.get(spelling.LABEL_PROFILE, ""))
    asked = [each for each in neighbours if patch.names(pod, each) or patch.matches(pod, each)]
    kernel = pods.kernel_of(pod)
    if not named and not asked and kernel is None:
        return None
    owner = pods.workload(meta)
    reason, message, remedy = _why_injected(pod) if kernel is not None else _why_plain(pod, named, asked, owner)
    wrapped = pods.is_wrapped(pods.server(pod))
    return Explanation(
        pod=meta.name,
        workload=f"{owner.kind} {owner.name}",
        profile=named or ", ".join(metadata.parse(each).name for each in asked),
        injected=kernel is not None,
        mode="" if kernel is None else spelling.WRAP if wrapped else spelling.ENV_FILE_MODE,
        kernel=_kernel(kernel or "", asked),
        reason=reason,
        message=message,
        remedy=remedy,
    )


def _why_plain(pod: Json, named: str, asked: Sequence[Json], owner: pods.Workload) -> tuple[str, str, str]:
    if not asked:
        return "NoProfile", f"there is no HipbmmProfile {named} in the namespace", f"create it, then {owner.restart}"
    reason = patch.why_plain(pod, asked[0]) or "Predates"
    if reason == "NotReady":
        return reason, f"{WORDS[reason]}: {_not_ready(asked[0])}", ""
    unlabelled = f". {UNLABELLED}" if reason == "Predates" and not named else ""
    return reason, WORDS[reason] + unlabelled, owner.restart if reason in ("Predates", "Canary") else ""


def _not_ready(profile: Json) -> str:
    ready = metadata.conditions(as_object(profile.get("status"))).get("Ready", {})
    return f"{ready.get('reason', 'no operator has seen it')}: {ready.get('message', '')}"


def _why_injected(pod: Json) -> tuple[str, str, str]:
    """What `hipbmm-warm` says of itself."""
    for status in objects_at(pod, "status", "initContainerStatuses"):
        if status.get("name") == spelling.WARM:
            ended = object_at(status, "state", "terminated")
            found = reports.parse_report(str(ended.get("message", "")))
            return (found.reason, found.message, "") if found else ("", "hipbmm-warm has not reported yet", "")
    return "", "hipbmm-warm has not started yet", ""


def _kernel(kernel: str, asked: Sequence[Json]) -> str:
    current = {object_at(each, "status", "injection", "kernel").get("sha256") for each in asked}
    return f"{kernel[:12]}{'' if kernel in current else ', not that of the profile now'}" if kernel else ""


def _lines(found: Explanation) -> Iterator[str]:
    yield f"pod {found.pod} of {found.workload}\n"
    yield f"  profile   {found.profile}\n"
    yield f"  injected  {f'yes, {found.mode}, program {found.kernel}' if found.injected else 'no'}\n"
    yield f"  why       {f'{found.reason}: ' if found.reason else ''}{found.message}\n"
    if found.remedy:
        yield f"  do        {found.remedy}\n"
