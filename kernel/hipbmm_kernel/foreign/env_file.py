"""The file `env` of a pod: variables that kubelet reads at each start of the server (`valueFrom.fileKeyRef`). Pure.

Kubelet's grammar (pkg/kubelet/util/env/env_util.go of Kubernetes 1.37): `NAME='value'` per line. A file that breaks it
keeps the container from starting, for ever; so what is written here is read back by the same rules before it counts.
"""

import re
from collections.abc import Mapping

NAME = "env"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[^'\0-\x1f\x7f]*")
MAX_LINE = 60_000
"""Bytes; Go's scanner of lines gives up at 65,536."""


def encode(variables: Mapping[str, str]) -> bytes:
    """The file. ValueError for a variable that cannot be written so that kubelet reads the same."""
    lines = []
    for name, value in variables.items():
        line = f"{name}='{value}'"
        if not _VARIABLE.fullmatch(name) or not _VALUE.fullmatch(value) or len(line.encode()) > MAX_LINE:
            raise ValueError(f"{name} cannot stand in an env file: {value[:60]!r}")
        lines.append(f"{line}\n")
    data = "".join(lines).encode()
    if decode(data) != dict(variables):
        raise ValueError("the env file reads differently from what was written")
    return data


def decode(data: bytes) -> dict[str, str]:
    """What kubelet reads in a file of `encode`. ValueError for a line that it would refuse, or that is not ours."""
    found: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8").split("\n"), 1):
        if not line:
            continue
        name, equals, value = line.partition("=")
        if not equals or name != name.strip(" \t") or not name:
            raise ValueError(f"line {number}: no variable")
        if len(value) < len("''") or value[0] != "'" or value.find("'", 1) != len(value) - 1:
            raise ValueError(f"line {number}: the value must be in single quotes")
        found.setdefault(name, value[1:-1])
    return found
