"""Checks that the schema cannot make: across fields, and against the pod contract. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hipbmm_operator.api.reasons import Config
from hipbmm_operator.api.resource import Resource, parse_spec
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube.json_text import missing
from hipbmm_operator.pods import contract
from hipbmm_operator.resources import environment, server_args, service, volumes
from hipbmm_operator.resources.server_args import Command

_MOST_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the spec that is wrong. A fatal one keeps the children as they are."""

    reason: Config
    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec that was read: `spec` and `command` are None when it could not be."""

    spec: Spec | None
    command: Command | None
    problems: tuple[Problem, ...]


def read(resource: Resource) -> Checked:
    """The typed spec of a resource, and all that is wrong with it."""
    spec = parse_spec(Spec, resource.raw_spec)
    if isinstance(spec, str):
        return Checked(None, None, (Problem("InvalidSpec", spec, fatal=True),))
    command = server_args.resolve(spec)
    return Checked(spec, command, (*check(spec, command), *unread(resource.raw_spec, spec)))


def check(spec: Spec, command: Command) -> list[Problem]:
    """Problems of a spec that the schema accepted."""
    problems = [Problem("ConflictingArgs", message, fatal=True) for message in command.problems]
    problems += [Problem("ConflictingEnv", message) for message in _environment(spec, command)]
    problems += [Problem("InvalidSpec", message, fatal=True) for message in volumes.conflicts(spec)]
    if service.shows_sidecar(spec) and spec.service.port == contract.METRICS_PORT:
        message = f"spec.service.port: {spec.service.port} is the Service's port of the sidecar's metrics"
        problems.append(Problem("InvalidSpec", f"{message} (spec.service.monitor.enabled)", fatal=True))
    return problems


def unread(raw: dict[str, Any], spec: Spec) -> list[Problem]:
    """Fields that a newer CRD let through and this operator does not know: they have no effect."""
    known = spec.model_dump(by_alias=True, exclude_unset=True)
    fields = list(missing(raw, known, "spec"))
    if not fields:
        return []
    rest = len(fields) - _MOST_FIELDS
    shown = ", ".join(fields[:_MOST_FIELDS]) + (f" and {rest} more" if rest > 0 else "")
    return [Problem("UnknownField", f"{shown}: not known to this operator, which is older than the CRD; upgrade it")]


def _environment(spec: Spec, command: Command) -> Iterator[str]:
    """Variables of the contract that the user has set otherwise; theirs win, and the status says so."""
    own = {**contract.FLAGS, **environment.program(spec, command)}
    for entry in spec.server.env:
        expected = own.get(entry.name)
        if expected is None or entry.value == expected:
            continue
        if entry.name in contract.FLAGS and (entry.value or "").lower() == "true":  # vLLM and AITER take it for 1
            continue
        shown = f"{entry.name}={entry.value}" if entry.value is not None else f"{entry.name} (from a reference)"
        yield f"spec.server.env sets {shown}, which wins over the operator's {expected!r}"
    plugins = next((entry.value for entry in spec.server.env if entry.name == "VLLM_PLUGINS"), None)
    if spec.server.dispatch == "Memory" and plugins is not None and contract.PLUGIN not in plugins.split(","):
        yield (
            f"spec.server.env sets VLLM_PLUGINS={plugins}, without {contract.PLUGIN}, which spec.server.dispatch Memory"
            " needs: AITER reads the file"
        )
