"""vLLM's arguments of a server, without those that differ from pod to pod and change no plan."""

from collections.abc import Iterable, Sequence

from hipbmm_kernel.argv import values
from hipbmm_kernel.argv.known_flags import INTEGERS, JSON, OTHER_SETTINGS, OTHER_SWITCHES, SWITCHES, TEXTS, is_flag

_OF_A_POD = (
    "host",
    "nnodes",
    "node-rank",
    "master-addr",
    "master-port",
    "headless",
    "data-parallel-address",
    "data-parallel-rpc-port",
    "data-parallel-rank",
    "data-parallel-start-rank",
    "data-parallel-size-local",
    "distributed-executor-backend",
)
"""Which of a group's pods this is, and where the others are. A plan is that of one rank, whichever it is."""
_OF_A_FRONT_END = (
    "port",
    "uds",
    "api-key",
    "api-server-count",
    "served-model-name",
    "root-path",
    "allowed-origins",
    "chat-template",
    "uvicorn-log-level",
    "disable-uvicorn-access-log",
    "disable-access-log-for-endpoints",
    "enable-log-requests",
    "disable-log-requests",
    "disable-log-stats",
    "enable-ssl-refresh",
    "ssl-keyfile",
    "ssl-certfile",
    "ssl-ca-certs",
    "shutdown-timeout",
    "enable-auto-tool-choice",
    "tool-call-parser",
    "reasoning-parser",
    "kv-transfer-config",
    "kv-events-config",
    "otlp-traces-endpoint",
)
"""What decides nothing about linears and numbers of tokens: a value of theirs that is not known does no harm."""
_OF_DYNAMO = (
    "is-prefill-worker",
    "is-decode-worker",
    "disaggregation-mode",
    "connector",
    "endpoint",
    "namespace",
    "migration-limit",
    "dyn-tool-call-parser",
    "dyn-reasoning-parser",
    "enable-multimodal",
)
_OF_HUGGINGFACE = ("model-name", "model-id", "model-dir", "backend", "task", "return-token-type-ids", "http-port")


def taken(arguments: Iterable[str], name: str, *, inline: bool = True) -> tuple[str, tuple[str, ...]]:
    """The last value of a flag, "" for none, and the arguments without it; without `inline` `--name=value` is none."""
    found, kept = "", []
    for group in _groups(arguments):
        value = group[0].partition("=")[2]
        if _named(group[0]) == name and (inline or not value):
            found = value or (group[1] if len(group) > 1 else "")
            kept += [] if value else group[2:]
        else:
            kept += group
    return found, tuple(kept)


def positional(arguments: Sequence[str], marks: values.Marks) -> tuple[str, tuple[str, ...]]:
    """The one argument that is no flag and no flag's value, and the rest; "" where none is known for certain to be."""
    groups = [(group[:own], group[own:]) for group in _groups(_spliced(arguments, marks)) for own in [_own(group)]]
    found = [text for _, others in groups for text in others]
    if len(found) != 1:
        return "", tuple(arguments)
    return found[0], tuple(text for own, _ in groups for text in own)


def _own(group: Sequence[str]) -> int:
    """How many fields of a group are the flag and its values: all where the flag is not known."""
    name = _named(group[0]).partition(".")[0]
    if not name:
        return int(group[0] == "--")
    inline = "=" in group[0] or (group[0][:2] == "-O" and group[0] != "-O")
    switch = name.startswith(("enable-", "disable-", "no-")) and name != "disable-access-log-for-endpoints"
    if inline or switch or name in {*SWITCHES, *OTHER_SWITCHES}:
        return 1
    return 2 if name in {*INTEGERS, *TEXTS, *JSON, *OTHER_SETTINGS} else len(group)


def split(arguments: Iterable[str], marks: values.Marks, form: str) -> tuple[str, ...] | str:
    """The arguments on which a plan depends, or the flag whose value is not known.

    They are without flags of a pod; a mark is replaced by what it stands for.
    """
    foreign = {"DynamoVllm": _OF_DYNAMO, "HuggingfaceServer": _OF_HUGGINGFACE}.get(form, ())
    kept: list[str] = []
    for group in _groups(_spliced(arguments, marks)):
        name = _named(group[0])
        idle = not any(map(values.is_marked, group[_own(group) :]))  # else it may be more flags
        if idle and name in (*_OF_A_POD, *foreign):
            continue
        if any(map(values.is_marked, group)):
            if idle and name in _OF_A_FRONT_END:
                continue
            return f"{values.without_marks(group[0].partition('=')[0])[:90]} ?"
        kept += group
    return tuple(kept)


def _spliced(arguments: Iterable[str], marks: values.Marks) -> list[str]:
    """The arguments with each field that is one of several texts replaced, if they all mean the same plan."""
    found: list[str] = []
    for field in arguments:
        known = marks.alternatives(field) if values.is_marked(field) else None
        plans = {_planned(text) for text in known or ()}
        found += plans.pop() if len(plans) == 1 else (field,)
    return found


def _planned(text: str) -> tuple[str, ...]:
    """Of the words of a text, those that a plan depends on."""
    idle = (*_OF_A_POD, *_OF_A_FRONT_END)
    return tuple(part for group in _groups(text.split()) if _named(group[0]) not in idle for part in group)


def _groups(arguments: Iterable[str]) -> list[list[str]]:
    """Each flag with the values behind it; values before the first flag are a group of their own."""
    found: list[list[str]] = []
    for text in arguments:
        if found and not is_flag(text):
            found[-1].append(text)
        else:
            found.append([text])
    return found


def _named(text: str) -> str:
    """The name of the flag that a text is, with or without its value; "" when it is none."""
    return text.partition("=")[0].lstrip("-").replace("_", "-") if is_flag(text) else ""
