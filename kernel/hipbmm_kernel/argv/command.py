"""vLLM in the argv of a container: as it is, behind wrappers, or in a shell's script."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.argv import builtin, flags, shell, values
from hipbmm_kernel.argv.process import Command
from hipbmm_kernel.argv.work import ShellError, Work

VLLM_SERVE = "VllmServe"
API_SERVER = "ApiServer"
DYNAMO = "DynamoVllm"
HUGGINGFACE = "HuggingfaceServer"
ARGUMENTS_ONLY = "ArgumentsOnly"

NO_SERVER = "NoServerCommand"
SCRIPT_FILE = "ScriptFile"
SUBSTITUTION = "Substitution"
CONDITIONAL = "Conditional"
SEVERAL = "SeveralServers"
MODEL_UNKNOWN = "ModelUnknown"
RAY_NODE = "RayNode"
SYNTAX = "ShellSyntax"

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "busybox"})
MAX_NESTING = 6
MAX_ABOUT = 200
PYTHONPATH = "PYTHONPATH"
_MODULES = {
    "vllm.entrypoints.openai.api_server": API_SERVER,
    "vllm.entrypoints.api_server": API_SERVER,
    "dynamo.vllm": DYNAMO,
    "huggingfaceserver": HUGGINGFACE,
}
_COMMAND_LINES = ("vllm.entrypoints.cli.main", "vllm")
_FILES = ("vllm/entrypoints/openai/api_server.py",)
_WRAPPERS = frozenset(
    {
        *("env", "nohup", "nice", "ionice", "numactl", "taskset", "chrt", "stdbuf", "setsid", "time", "timeout"),
        *("tini", "docker-init", "dumb-init", "catatonit", "catchsegv", "prlimit", "linkerd-await"),
        *("sudo", "gosu", "su-exec", "setpriv", "runuser"),
        *("vault-env", "secrets-init", "chamber", "doppler", "infisical"),
        *("uv", "conda", "mamba", "micromamba", "poetry", "pixi", "pipenv", "pdm", "hatch"),
        *("nsys", "rocprofv3", "rocprof", "rocprof-sys-run", "opentelemetry-instrument", "ddtrace-run"),
    }
)
"""Programs that become, or run, the command that follows their own options."""
_LOGINS = {"runuser": ("-", "-l", "--login"), "setpriv": ("--reset-env",)}
_CHOOSING = ("--python", "-p")
"""Options of wrappers whose value is an interpreter that they choose."""
_CLEARING = re.compile(r"-(?:[0v]*i|$|-i)")
_UNSETTING = re.compile(r"-(?:[0iv]*u|-unset(?:=|$))")
"""Options of `env` that take away all variables, and one, up to its name."""
_PRESERVING = re.compile(r"-[AbBHknNPS]*E|--preserve-env$")
"""The option of `sudo` that keeps all variables."""
_ENTERING = {
    "env": re.compile(r"-[0iv]*C|--chdir(?:=|$)"),
    "sudo": re.compile(r"-D|--chdir(?:=|$)"),
    "uv": re.compile(r"--directory(?:=|$)"),
    "conda": re.compile(r"--cwd(?:=|$)"),
}
"""Options of wrappers that name the directory in which the command starts, up to its name."""
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_PYTHON_VALUES = ("-X", "-W", "--check-hash-based-pycs")
_PYTHON_LAST = re.compile(r"-([^-cmWX]*)([cm])(.*)", re.DOTALL)
"""The last option of Python's own, behind others of a letter and before its value: `-m`, `-um`, `-mMODULE`."""
_GROUP_SCRIPT = "multi-node-serving.sh"
"""Of vLLM's examples: it starts a Ray node."""


class Server(NamedTuple):
    """vLLM's own model and arguments; `env` are variables that a script sets for it.

    `hidden` are those that it takes away, or sets to what only running it would show.
    """

    form: str
    model: str
    arguments: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    config_file: str = ""
    hidden: tuple[str, ...] = ()


class Unread(NamedTuple):
    """Why no server was found: a reason's word, and what it is about."""

    reason: str
    about: str = ""


_RAY_NODE = Unread(RAY_NODE, "this pod starts a Ray node, and its command line names no model")


class _Candidate(NamedTuple):
    """A server; the fields of its command are its arguments."""

    form: str
    command: Command


def find(argv: Sequence[str], env: Mapping[str, str], *, has_command: bool = True) -> Server | Unread:
    """The server that a container with this argv and environment becomes.

    Without `has_command` the argv are arguments of an ENTRYPOINT that only the image knows: those of a vLLM image are
    taken to be vLLM's.
    """
    try:
        met = list(_met(Command(tuple(argv)), env, Work()))
    except ShellError as error:
        return Unread(SYNTAX, str(error))
    except (ValueError, RecursionError):
        return Unread(SYNTAX, "a number or a test is too long to be read")
    found = [each for each in met if isinstance(each, _Candidate)]
    if not (met or has_command):
        found = _arguments_only(tuple(argv))
    certain = {(each.form, each.command.fields): each for each in found if each.command.certain}
    if len(certain) > 1:
        return Unread(SEVERAL, "; ".join(each.form for each in certain.values()))
    if certain and {(each.form, each.command.fields) for each in found} == set(certain):
        return _server(*certain.values())
    if found:
        return Unread(CONDITIONAL, "whether or which server starts depends on what only running the script would show")
    reasons = {each.reason: each for each in reversed(met) if isinstance(each, Unread)}
    # Not the arguments: kubelet has put values of Secrets into them, and a report is for all to read.
    nothing = Unread(NO_SERVER, argv[0][:MAX_ABOUT] if argv else "no command and no arguments")
    return reasons.get(RAY_NODE) or reasons.get(SCRIPT_FILE) or nothing


def _met(command: Command, env: Mapping[str, str], work: Work, nesting: int = 0) -> Iterator[_Candidate | Unread]:
    """The servers that a command starts, and what it starts in place of one."""
    at, own = _unwrapped(command.fields, {**env, **dict(command.env)})
    command = command._replace(fields=_apart(command.fields[at:]), env=(*command.env, *own))
    fields = command.fields
    if not fields or nesting > MAX_NESTING:
        return
    program = fields[0].rpartition("/")[2]
    form, arguments = _server_of(program, fields)
    if form:
        hidden = ((PYTHONPATH, values.ANY),) if is_isolated(fields) else ()
        yield _Candidate(form, command._replace(fields=arguments, env=(*command.env, *hidden)))
    elif program in SHELLS:
        yield from _of_shell(command, {**env, **dict(command.env)}, work, nesting)
    elif program == "ray" and "start" in fields[1:2]:
        yield _RAY_NODE
    elif program == "ray" and "symmetric-run" in fields[1:2] and "--" in fields:
        yield from _met(command._replace(fields=fields[fields.index("--") + 1 :]), env, work, nesting + 1)
    elif program.endswith((".sh", ".py", ".bash")):
        yield _script_file(fields[0])
    elif _PYTHON.fullmatch(program):
        at = _after_options(fields)
        at += fields[at : at + 1] == ("-m",)
        yield from (_script_file(text) for text in fields[at : at + 1] if not text.startswith("-"))


def _of_shell(command: Command, env: Mapping[str, str], work: Work, nesting: int) -> Iterator[_Candidate | Unread]:
    """A shell with its own text, or with a script's file."""
    yield Unread(NO_SERVER)  # its arguments are those of no server, whatever is in the text
    text, parameters = _script(command.fields)
    if text is None:
        yield from map(_script_file, parameters[:1])
    elif values.is_marked(text):
        yield _script_file("a text that only running it would show")
    else:
        is_bash = command.fields[0].endswith(("bash", "zsh"))
        walk = shell.Walk({name: values.forgotten(value) for name, value in env.items()}, work, is_bash=is_bash)
        for each in walk.run(text, tuple(values.forgotten(field) for field in parameters or command.fields[:1])):
            certain, changed = command.certain and each.certain, (*command.env, *each.env)
            yield from _met(each._replace(certain=certain, env=changed), env, work, nesting + 1)


def _script_file(name: str) -> Unread:
    if name.endswith(_GROUP_SCRIPT):
        return _RAY_NODE
    return Unread(SCRIPT_FILE, values.without_marks(name)[:MAX_ABOUT])


def _unwrapped(fields: tuple[str, ...], env: Mapping[str, str]) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Where the command behind wrappers begins, and the variables that they set before it."""
    programs = [field.rpartition("/")[2] for field in fields]
    if not programs or programs[0] not in _WRAPPERS:
        return 0, ()
    for at in range(1, len(fields)):
        if fields[at - 1] in _CHOOSING and programs[at - 2] != "time":
            continue
        serves = programs[at] == "vllm" and fields[at + 1 : at + 2] == ("serve",)
        if serves or programs[at] in SHELLS or _PYTHON.fullmatch(programs[at]):
            outer = [before for before in range(at) if programs[before] in _WRAPPERS]
            changed: dict[str, str] = {}
            for each in outer:
                changed |= _changed(programs[each], fields[each + 1 : at], {**env, **changed})
            return at, tuple(changed.items())
    return 0, ()


def _changed(program: str, options: Sequence[str], env: Iterable[str]) -> dict[str, str]:
    """The variables that a wrapper sets, or takes away; others may stand behind it."""
    pairs = (text.partition("=") for text in options if "=" in text and not text.startswith("-"))
    dropped = dict.fromkeys(_dropped(program, options, env), values.ANY)
    return {**dropped, **{name: value for name, _, value in pairs}, **dict(_entered(program, options))}


def _dropped(program: str, options: Sequence[str], env: Iterable[str]) -> list[str]:
    """The variables that a wrapper takes away: all of the environment as `env -i`, `sudo` and a login do, or some."""
    if program == "sudo" and any(map(_PRESERVING.match, options)):
        return [PYTHONPATH]  # which sudo takes away all the same
    clears = program == "sudo" or any(option in _LOGINS.get(program, ()) for option in options)
    if program == "env":
        clears = any(map(_CLEARING.match, options))
    unset = _values(_UNSETTING, options) if program == "env" else []
    return [PYTHONPATH, *(name for name in env if name != builtin.HERE), *unset] if clears else unset


def _entered(program: str, options: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The directory that a wrapper enters before it starts the command, if it does."""
    paths = _values(_ENTERING[program], options) if program in _ENTERING else []
    return tuple((builtin.HERE, path if path.startswith("/") else values.ANY) for path in paths[-1:])


def _values(option: re.Pattern[str], options: Sequence[str]) -> list[str]:
    """The values of an option, each in the word of its name or in the next one."""
    named = ((at, found.end()) for at, text in enumerate(options) if (found := option.match(text)))
    return [options[at][end:] or "".join(options[at + 1 : at + 2]) for at, end in named]


def is_isolated(fields: Sequence[str]) -> bool:
    """Whether `-E` or `-I` makes the Python that a command starts ignore PYTHONPATH."""
    is_python = bool(fields) and _PYTHON.fullmatch(fields[0].rpartition("/")[2])
    options = fields[1 : _after_options(fields)] if is_python else ()
    return any(text[:1] == "-" != text[1:2] and {"E", "I"} & set(text) for text in options)


def _after_options(fields: Sequence[str]) -> int:
    """Where the options of Python end."""
    at = 1
    while at < len(fields) and fields[at].startswith("-") and not _PYTHON_LAST.fullmatch(fields[at]):
        at += 2 if fields[at] in _PYTHON_VALUES else 1
    return at


def _apart(fields: tuple[str, ...]) -> tuple[str, ...]:
    """A command, if it is Python's with its last option apart from what is around it: `-u -m MODULE`."""
    at = _after_options(fields)
    is_python = bool(fields) and _PYTHON.fullmatch(fields[0].rpartition("/")[2])
    found = _PYTHON_LAST.fullmatch(fields[at]) if is_python and at < len(fields) else None
    if found is None:
        return fields
    before, last, value = found.groups()
    parts = (f"-{before}" if before else "", f"-{last}", value)
    return (*fields[:at], *filter(None, parts), *fields[at + 1 :])


def _server_of(program: str, fields: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The form of a server and its arguments; "" when the command is none."""
    if program == "vllm":
        return (VLLM_SERVE, fields[2:]) if fields[1:2] == ("serve",) else ("", ())
    if not _PYTHON.fullmatch(program):
        return "", ()
    at = _after_options(fields)
    is_module = fields[at : at + 1] == ("-m",)
    name, *rest = fields[at + is_module :] or ("",)
    serves = name in _COMMAND_LINES if is_module else name.endswith("/bin/vllm")
    if serves and rest[:1] == ["serve"]:
        return VLLM_SERVE, tuple(rest[1:])
    form = _MODULES.get(name, "") if is_module else API_SERVER if name.endswith(_FILES) else ""
    return form, tuple(rest)


def _script(fields: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The text behind `-c` and the parameters from `$0` on; None, and the file with its arguments, without one."""
    at = 2 if fields[0].endswith("busybox") else 1
    command = False
    while at < len(fields) and fields[at][:1] in ("-", "+") and fields[at] not in ("-", "--"):
        option = fields[at]
        command = command or (not option.startswith("--") and option[0] == "-" and "c" in option)
        at += 2 if option in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file") else 1
        at += not option.startswith("--") and option.endswith("o") and option not in ("-o", "+o")
    at += fields[at : at + 1] in (("-",), ("--",))
    if not command:
        return None, fields[at:]
    return fields[at] if at < len(fields) else "", fields[at + 1 :]


def _arguments_only(argv: tuple[str, ...]) -> list[_Candidate]:
    """Arguments of an ENTRYPOINT: `vllm serve` (today's images), `vllm`, the API server (older ones), huggingface's."""
    if argv[:1] == ("serve",):
        return [_Candidate(VLLM_SERVE, Command(argv[1:]))]
    if not argv or ("/" not in argv[0] and not argv[0].startswith("-")):
        return []
    names = {text.partition("=")[0].replace("_", "-") for text in argv}
    form = HUGGINGFACE if names & {"--model-id", "--model-dir", "--model-name"} else ARGUMENTS_ONLY
    return [_Candidate(form, Command(argv))]


def _server(found: _Candidate) -> Server | Unread:
    form, (arguments, _, changed, marks) = found
    model = ""
    if form in (VLLM_SERVE, ARGUMENTS_ONLY) and arguments and not arguments[0].startswith("-"):
        model, arguments = arguments[0], arguments[1:]
    named, arguments = flags.taken(arguments, "model")
    # vLLM takes `--config=FILE` for no file to read (0.22 to 0.33, https://github.com/vllm-project/vllm/issues/43252).
    config, arguments = flags.taken(arguments, "config", inline=False)
    if form == HUGGINGFACE:
        named = flags.taken(arguments, "model-dir")[0] or flags.taken(arguments, "model-id")[0] or "/mnt/models"
    if not (model or named) and form in (VLLM_SERVE, ARGUMENTS_ONLY):
        model, arguments = flags.positional(arguments, marks)
    model = model or named
    known = marks.alternatives(model)
    if known is None or len(known) > 1 or values.is_marked(config):
        return Unread(SUBSTITUTION, f"the model: {values.without_marks(model)[:90]}")
    known_arguments = flags.split(arguments, marks, form)
    if isinstance(known_arguments, str):
        return Unread(SUBSTITUTION, known_arguments)
    if not model and not config:
        return Unread(MODEL_UNKNOWN, "neither the first argument nor --model names it")
    env = dict(changed)
    hidden = tuple(name for name in env if values.is_marked(name + env[name]))
    if builtin.HERE in hidden and (model[:1] == "." or config[:1] not in ("", "/")):
        return Unread(SUBSTITUTION, f"the directory of {model or config}"[:90])
    seen = tuple(pair for pair in env.items() if pair[0] not in hidden)
    return Server(form, known[0], known_arguments, seen, config, hidden)
