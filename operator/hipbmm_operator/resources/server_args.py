"""The server's command line: what the operator adds unless the user gave it, and what the user's own flags mean.

vLLM parses with argparse: `--flag value`, `--flag=value`, underscores for dashes, and any prefix that only one of its
flags has. What decides the number of GPUs or how the server answers is read in each of these forms or refused by name,
and nothing is added that the user has said in any of them.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import pairwise

from hipbmm_operator.api.spec import MAX_GPUS, Spec
from hipbmm_operator.pods import contract

_TENSOR = "--tensor-parallel-size"
_PIPELINE = "--pipeline-parallel-size"
_DATA = "--data-parallel-size"
_DATA_LOCAL = "--data-parallel-size-local"
_PREFILL_CONTEXT = "--prefill-context-parallel-size"
_SERVED = "--served-model-name"
_PORT = "--port"
_HOST = "--host"
_CONFIG = "--config"
_TLS = ("--ssl-keyfile", "--ssl-certfile")
_CLIENT_CERTIFICATES = "--ssl-cert-reqs"
_API_SERVERS = "--api-server-count"

_SERVE = "serve"
_MODEL = "--model"
_MODULE = "vllm.entrypoints.openai.api_server"
_SHORT = {
    "-tp": _TENSOR,
    "-pp": _PIPELINE,
    "-dp": _DATA,
    "-dpl": _DATA_LOCAL,
    "-pcp": _PREFILL_CONTEXT,
    "-asc": _API_SERVERS,
    "-dpn": "--data-parallel-rank",
    "-dpr": "--data-parallel-start-rank",
    "-dpa": "--data-parallel-address",
    "-dpe": "--data-parallel-external-lb",
    "-dph": "--data-parallel-hybrid-lb",
    "-dpm": "--data-parallel-multi-port-external-lb",
    "-n": "--nnodes",
    "-r": "--node-rank",
}
_ONE_POD = "a replica is one pod, and all replicas have the same arguments"
_UNREACHABLE = "probes and the Service reach the server by HTTP on the pod's address"
_REFUSED = {
    "--headless": _UNREACHABLE,
    "--uds": _UNREACHABLE,
    "--grpc": _UNREACHABLE,
    "--data-parallel-rank": _ONE_POD,
    "--data-parallel-start-rank": _ONE_POD,
    "--data-parallel-address": _ONE_POD,
    "--data-parallel-external-lb": _ONE_POD,
    "--data-parallel-hybrid-lb": _ONE_POD,
    "--data-parallel-multi-port-external-lb": "each rank would have a port of its own, and the Service has one",
    "--nnodes": _ONE_POD,
    "--node-rank": _ONE_POD,
}
_READ = (_TENSOR, _PIPELINE, _DATA, _DATA_LOCAL, _PREFILL_CONTEXT, _SERVED, _PORT, _HOST, _CONFIG, *_TLS)
_KNOWN = frozenset({*_READ, *_REFUSED, *_SHORT, _CLIENT_CERTIFICATES, _API_SERVERS})
_ATTACHED = re.compile(r"-[nr]\d+")
"""argparse takes the value of a flag of one letter without a space."""
_LARGEST = 65535
_LOOPBACK = frozenset({"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"})
_SHORT_LOOPBACK = re.compile(r"127(?:\.[0-9]+){0,2}|0x7f[0-9a-f]{6}|0177(?:\.[0-9]+){0,3}|2130706433")
"""Addresses that only the C library takes (inet_aton): 127.1 is 127.0.0.1."""


@dataclass(frozen=True, slots=True)
class Command:
    """The resolved command line of the server; `arguments` are the flags of its plan. `tls`: it answers by HTTPS."""

    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    tensor: int
    gpus: int
    port: int
    tls: bool = False
    problems: tuple[str, ...] = ()


class _Arguments:
    """The user's arguments, by the full name of each flag that the operator reads; the last one of a name counts."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.given: dict[str, str] = {}
        self.problems: list[str] = []
        for index, argument in enumerate(arguments):
            if not argument.startswith("-"):
                continue
            written, equals, value = argument.partition("=")
            name = self._full(written.replace("_", "-") if written.startswith("--") else written)
            if name is not None:
                following = arguments[index + 1] if index + 1 < len(arguments) else ""
                self.given[name] = value if equals else following

    def number(self, flag: str) -> int | None:
        """The positive number of a flag; None when it is not given, or is none, which is a problem."""
        text = self.given.get(flag)
        if text is None:
            return None
        if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= _LARGEST):
            self.refuse(f"{flag} must be a positive number, not {text!r}")
            return None
        return int(text)

    def refuse(self, message: str) -> None:
        self.problems.append(f"spec.server.args: {message}")

    def _full(self, written: str) -> str | None:
        """The full name of a flag that is read; None for one that is not, and for an abbreviation of several."""
        if _ATTACHED.fullmatch(written):
            written = written[:2]
        names = {written} if written in _KNOWN else {known for known in _KNOWN if _abbreviates(written, known)}
        full = {_SHORT.get(name, name) for name in names}
        if len(full) > 1:
            self.refuse(f"{written} may mean {', '.join(sorted(full))}: write the flag in full")
        return full.pop() if len(full) == 1 else None


def _abbreviates(written: str, known: str) -> bool:
    dashes = "--" if known.startswith("--") else "-"
    return len(written) > len(dashes) and known.startswith(written)


def resolve(spec: Spec) -> Command:
    """The command line of a spec. A flag that contradicts a field is a problem; the flag is what the server gets."""
    command = spec.server.command
    users = _Arguments((*command, *spec.server.args))
    tensor = _agreed(users, _TENSOR, spec.parallelism.tensor, "spec.parallelism.tensor")
    pipeline = _agreed(users, _PIPELINE, spec.parallelism.pipeline, "spec.parallelism.pipeline")
    port = _agreed(users, _PORT, spec.server.port, "spec.server.port")
    gpus = tensor * pipeline * _data(users, spec) * (users.number(_PREFILL_CONTEXT) or 1)
    if gpus > MAX_GPUS:
        users.refuse(f"{gpus} GPUs for one replica are more than {MAX_GPUS}")
    _refuse_what_cannot_answer(users, spec, port)
    argv = (*command, spec.model.name, *spec.server.args, *_added(users, spec))
    planned = (*_flags(command), *spec.server.args)
    named = _CONFIG in users.given or f"{_MODEL}={spec.model.name}" in argv
    if _MODULE in command and not (named or (_MODEL, spec.model.name) in pairwise(argv)):
        users.problems.append(f"spec.server.command: must end with {_MODEL}, without which {_MODULE} ignores a name")
    return Command(
        argv=argv,
        # Flags of another program are not vLLM's: the fields of the spec have these sizes.
        arguments=(*planned, *_added(_Arguments(planned), spec)),
        tensor=tensor,
        gpus=gpus,
        port=port,
        tls=any(users.given.get(flag) for flag in _TLS),
        problems=tuple(users.problems),
    )


def _flags(command: list[str]) -> list[str]:
    """The flags in a command, behind `serve` or vLLM's module; a last `--model` has the name as its value.

    Those of another program are not taken: vLLM would refuse what it does not know of them.
    """
    starts = next((word for word in (_SERVE, _MODULE) if word in command), None)
    flags = command[command.index(starts) + 1 :] if starts else []
    return flags[:-1] if flags[-1:] == [_MODEL] else flags


def _agreed(users: _Arguments, flag: str, field: int, name: str) -> int:
    """The number of a flag, else of its field, from which it must not differ."""
    number = users.number(flag)
    if number is not None and number != field:
        users.refuse(f"{flag} {number} must not differ from {name} {field}")
    return field if number is None else number


def _data(users: _Arguments, spec: Spec) -> int:
    """Ranks of data parallelism in one pod, each on GPUs of its own."""
    size, local = users.number(_DATA), users.number(_DATA_LOCAL)
    if size is not None and "data" in spec.parallelism.model_fields_set and size != spec.parallelism.data:
        users.refuse(f"{_DATA} {size} must not differ from spec.parallelism.data {spec.parallelism.data}")
    ranks = size or spec.parallelism.data
    if local is not None and local != ranks:
        unseen = size is None and _CONFIG in users.given
        remedy = f"; if {users.given[_CONFIG]} says {_DATA}, set spec.parallelism.data to it" if unseen else ""
        users.refuse(f"{_DATA_LOCAL} {local} must be all {ranks} ranks: {_ONE_POD}{remedy}")
    return local or ranks


def _added(users: _Arguments, spec: Spec) -> list[str]:
    """What the user has not said. With `--config FILE` only what is in the spec: the file may say the rest."""
    parallelism = spec.parallelism
    wanted: list[tuple[str, object, bool]] = [
        (_TENSOR, parallelism.tensor, True),
        (_PIPELINE, parallelism.pipeline, parallelism.pipeline > 1),
        (_DATA, parallelism.data, parallelism.data > 1),
        (_SERVED, spec.model.served_name, spec.model.served_name is not None),
        (_PORT, spec.server.port, True),
    ]
    return [text for flag, value, needed in wanted if needed and flag not in users.given for text in (flag, str(value))]


def _refuse_what_cannot_answer(users: _Arguments, spec: Spec, port: int) -> None:
    for flag, why in _REFUSED.items():
        if flag in users.given:
            users.refuse(f"{flag} is not possible: {why}")
    host = users.given.get(_HOST)
    if host is not None and _is_loopback(host):
        users.refuse(f"{_HOST} {host} is not possible: {_UNREACHABLE}")
    if users.given.get(_CLIENT_CERTIFICATES, "0").strip() not in ("0", "1"):
        users.refuse(f"{_CLIENT_CERTIFICATES} must be 0 or 1: probes have no client certificate")
    if users.given.get(_API_SERVERS) == "0":
        users.refuse(f"{_API_SERVERS} 0 is not possible: {_UNREACHABLE}")
    if port == contract.METRICS_PORT and spec.tuning.harvest:
        users.problems.append(f"spec.server.port: {port} is the port of the container harvest")
    decided = {"tensor"} <= spec.parallelism.model_fields_set or _TENSOR in users.given
    listens = "port" in spec.server.model_fields_set or _PORT in users.given
    if _CONFIG in users.given and not (decided and listens):
        users.refuse(
            f"{_CONFIG} {users.given[_CONFIG]} cannot be read by the operator and may decide the GPUs and the port:"
            " set spec.parallelism.tensor and spec.server.port to what is in it; TLS has to be asked for by arguments"
        )


def _is_loopback(host: str) -> bool:
    name = host.strip().strip("[]").lower().rstrip(".")
    with suppress(ValueError):
        address = ip_address(name)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback
    return name in _LOOPBACK or name.endswith(".localhost") or _SHORT_LOOPBACK.fullmatch(name) is not None
