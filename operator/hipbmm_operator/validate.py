"""Checks that the schema cannot make: across fields, and against the pod contract. Pure."""

from dataclasses import dataclass

from hipbmm_operator import contract
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.resources import environment
from hipbmm_operator.server_args import Command


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the spec that is wrong. A fatal one keeps the children as they are."""

    reason: str
    message: str
    fatal: bool = False


def check(spec: Spec, command: Command) -> list[Problem]:
    """Problems of a spec that the schema accepted."""
    problems = [Problem("ConflictingArgs", message, fatal=True) for message in command.problems]
    problems += _environment(spec, command)
    problems += _mounts(spec)
    return problems


def _environment(spec: Spec, command: Command) -> list[Problem]:
    """Variables of the contract that the user has set otherwise; theirs win, and the status tells."""
    own = {**contract.FLAGS, **environment.program(spec, command)}
    found = []
    for entry in spec.server.env:
        expected = own.get(entry.name)
        if expected is None or entry.value == expected:
            continue
        shown = f"{entry.name}={entry.value}" if entry.value is not None else f"{entry.name} (from a reference)"
        found.append(
            Problem("ConflictingEnv", f"spec.server.env sets {shown}, which wins over the operator's {expected!r}")
        )
    return found


def _mounts(spec: Spec) -> list[Problem]:
    """Mounts of volumes that are not there would only fail when pods are made."""
    pod = spec.pod_template.spec
    known = {volume.name for volume in pod.volumes or []}
    mounts = [mount for container in pod.containers or [] for mount in container.volume_mounts or []]
    return [
        Problem(
            "InvalidSpec",
            f"spec.podTemplate.spec.containers[server].volumeMounts: volume {mount.name!r} must be one of"
            f" spec.podTemplate.spec.volumes",
            fatal=True,
        )
        for mount in mounts
        if mount.name not in known
    ]
