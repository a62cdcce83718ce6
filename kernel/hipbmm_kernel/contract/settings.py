"""Settings of the program: `HIPBMM_*` environment variables, as docs/pod-contract.md documents them.

Values are parsed once, strictly: a setting that cannot be understood ends the command with status 2 and a message that
names the variable, because guessing one would tune or serve something else than was asked.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from hipbmm_kernel.rows.gemm import Linear

SERVE_UNTUNED = "ServeUntuned"
BLOCK = "Block"
ONLINE = "Online"
EXHAUSTIVE = "Exhaustive"
AUTO = "Auto"
MEMORY = "Memory"
FILE = "File"
WRAP = "Wrap"
ENV_FILE = "EnvFile"

SERVED_NAME = "hip_online_tuning_res.csv"
"""The name AITER opens in its working directory, hard-coded there."""

ONLINE_TUNING = "HIP_ONLINE_TUNING"
"""AITER's own switch: only `1` and `true` turn it on. It is read when hipBLASLt starts."""
CONTRACT_ENV = {
    "VLLM_ROCM_USE_AITER": "1",
    "VLLM_ROCM_USE_AITER_LINEAR": "1",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1",
    ONLINE_TUNING: "1",
}
"""What must be set for vLLM to use the HIPBMM kernel with its table; a user's other value wins and is reported."""

MAX_TEXT = 262_144
"""Bytes of one variable: what the kernel accepts as one environment string is twice that."""
MAX_LIST = 4096
MAX_WORD = 100
"""Of a pod's uid, which goes into the names of shards."""
MAX_DIGITS = 18
MAX_SECONDS = 10_000_000.0
MAX_TOKENS = 1 << 20
MAX_SIZE = 1 << 24


class SettingsError(ValueError):
    """A variable cannot be understood; the message names it."""


def _text(_name: str, text: str) -> str:
    return text


def _path(_name: str, text: str) -> str:
    return text.rstrip("/") or "/"


def _parts(separator: str) -> Callable[[str, str], tuple[str, ...]]:
    return lambda _name, text: tuple(filter(None, text.split(separator)))


def _word(name: str, text: str) -> str:
    """A text that goes into a shard, hence letters, digits, '.', '_' and '-' only, the first a letter or digit."""
    plain = all(c.isascii() and (c.isalnum() or c in "._-") for c in text)
    if not plain or text[:1] in (".", "_", "-") or len(text) > MAX_WORD:
        raise SettingsError(f"{name} may hold at most {MAX_WORD} letters, digits, '.', '_' and '-', not {text[:60]!r}")
    return text


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
        if not low <= value <= high:
            raise SettingsError(f"{name} must be an integer from {low} to {high}, not {text[:60]!r}")
        return value

    return read


def _port(name: str, text: str) -> int:
    """A Service `hipbmm-metrics` gives pods of its namespace this variable, too: `tcp://10.0.0.1:80` is not meant."""
    return _integer(0, 65535)(name, DEFAULTS[name] if "://" in text else text)


def _seconds(low: float) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= MAX_SECONDS:
            words = f"must be a number of seconds from {low} to {MAX_SECONDS:.0f}"
            raise SettingsError(f"{name} {words}, not {text[:60]!r}")
        return value

    return read


def _choice(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise SettingsError(f"{name} must be {' or '.join(choices)}, not {text[:60]!r}")
        return text

    return read


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true"):
        raise SettingsError(f"{name} must be 0 or 1, not {text[:60]!r}")
    return text.lower() in ("1", "true")


def parse_arguments(name: str, text: str) -> tuple[str, ...]:
    """The strings of a JSON array; none when `text` is empty. SettingsError, as from the next two, names `name`."""
    found = []
    for item in _array(name, text):
        if not isinstance(item, str):
            raise SettingsError(f"{name} must hold strings only, not {str(item)[:60]}")
        found.append(item)
    return tuple(found)


def parse_tokens(name: str, text: str, most: int = MAX_TOKENS) -> tuple[int, ...]:
    """The M of a JSON array; none when `text` is empty."""
    return tuple(_size(f"{name}: a number of tokens", item, most) for item in _array(name, text))


def parse_linears(name: str, text: str) -> tuple[Linear, ...]:
    """The linears of a JSON array of `{"n", "k", "bias", "name"}`, the last two optional; none when `text` is empty."""
    found = []
    for item in _array(name, text):
        if not isinstance(item, dict) or not {"n", "k"} <= item.keys() <= {"n", "k", "bias", "name"}:
            raise SettingsError(f'{name} must hold objects such as {{"n": 10240, "k": 8192, "bias": false}}')
        bias, label = item.get("bias", False), item.get("name", "")
        if not isinstance(bias, bool) or not isinstance(label, str):
            raise SettingsError(f"{name}: bias must be true or false and name a string, not {str(item)[:60]}")
        n, k = (_size(f"{name}: {key}", item[key], MAX_SIZE) for key in ("n", "k"))
        found.append(Linear(n, k, bias, label))
    return tuple(found)


def _array(name: str, text: str) -> list[object]:
    try:
        value = json.loads(text) if text else []
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{name} is not JSON: {str(error)[:120]}") from error
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise SettingsError(f"{name} must be a JSON array of at most {MAX_LIST} entries")
    return value


def _size(name: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise SettingsError(f"{name} must be an integer from 1 to {most}, not {str(value)[:60]}")
    return value


class Settings(NamedTuple):
    """The parsed environment. Paths are text, times are seconds.

    Each field has its default ($HIPBMM_HOME stands for that variable's value, empty is not set) and its reader. The
    variable is HIPBMM_ and the field's name in capitals.
    """

    home: Annotated[str, "/hipbmm", _path]
    store: Annotated[str, "$HIPBMM_HOME/store", _path]
    mirrors: Annotated[tuple[str, ...], "$HIPBMM_HOME/mirror", _parts(":")]
    mirror_log: Annotated[bool, "0", _flag]
    model: Annotated[str, "", _text]
    model_config: Annotated[str, "", _text]
    tensor_parallel: Annotated[int, "1", _integer(1, 1024)]
    server_args: Annotated[tuple[str, ...], "[]", parse_arguments]
    vllm_version: Annotated[str, "", _text]
    linears: Annotated[tuple[Linear, ...], "", parse_linears]
    tokens: Annotated[tuple[int, ...], "", parse_tokens]
    tune: Annotated[bool, "1", _flag]
    policy: Annotated[str, SERVE_UNTUNED, _choice(SERVE_UNTUNED, BLOCK)]
    budget_seconds: Annotated[float, "1800", _seconds(0.0)]
    problem_seconds: Annotated[float, "60", _seconds(0.05)]
    verify: Annotated[bool, "1", _flag]
    search: Annotated[str, ONLINE, _choice(ONLINE, EXHAUSTIVE)]
    retune_token: Annotated[str, "", _text]
    dispatch: Annotated[str, AUTO, _choice(AUTO, MEMORY, FILE)]
    plugin: Annotated[bool, "0", _flag]
    pod_uid: Annotated[str, "", _word]
    node_name: Annotated[str, "", _text]
    termination_log: Annotated[str, "/dev/termination-log", _path]
    sysfs: Annotated[str, "/sys", _path]
    dev: Annotated[str, "/dev", _path]
    metrics_port: Annotated[int, "9410", _port]
    harvest_seconds: Annotated[float, "20", _seconds(0.05)]
    read_seconds: Annotated[float, "90", _seconds(0.0)]
    warmup_seconds: Annotated[float, "1800", _seconds(0.0)]
    image_seconds: Annotated[float, "180", _seconds(0.0)]
    user_flags: Annotated[tuple[str, ...], "", _parts(",")]
    mode: Annotated[str, "", _choice("", WRAP, ENV_FILE)]
    fixed_env: Annotated[tuple[str, ...], "", _parts(",")]
    cooperate: Annotated[bool, "0", _flag]
    notes: Annotated[tuple[str, ...], "", parse_arguments]
    conflicting_env: tuple[str, ...]

    @property
    def work(self) -> str:
        """The working directory of the server."""
        return f"{self.home}/work"

    @property
    def served_file(self) -> str:
        """The private table that AITER reads and appends to."""
        return f"{self.home}/work/{SERVED_NAME}"

    @property
    def program(self) -> str:
        """Where `payload` has left the program, and the plugin beside it."""
        return f"{self.home}/kernel"

    @property
    def dispatch_directory(self) -> str:
        """The table in memory, and what processes of the server write beside it: counts, words, marks."""
        return f"{self.home}/dispatch"

    @property
    def dispatch_table(self) -> str:
        """The table that the plugin serves from memory."""
        return f"{self.dispatch_directory}/table"

    @property
    def processes(self) -> str:
        """Marks of the server's processes (`dispatch.end_marks`)."""
        return f"{self.dispatch_directory}/processes"

    @property
    def report_file(self) -> str:
        """The whole report of `warm`."""
        return f"{self.home}/report.json"

    @property
    def state_file(self) -> str:
        """What `exec` did."""
        return f"{self.home}/state.json"

    @property
    def simulated(self) -> bool:
        """Whether hardware is read from somewhere else than the running kernel."""
        return self.sysfs != DEFAULTS["HIPBMM_SYSFS"] or self.dev != DEFAULTS["HIPBMM_DEV"]


_FIELDS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    field: hint.__metadata__ for field, hint in Settings.__annotations__.items() if field != "conflicting_env"
}
DEFAULTS = {f"HIPBMM_{field.upper()}": default for field, (default, _) in _FIELDS.items()}


def parse_settings(env: Mapping[str, str]) -> Settings:
    """The settings in `env`. Raises SettingsError that names the first variable that cannot be understood."""
    home = env.get("HIPBMM_HOME") or DEFAULTS["HIPBMM_HOME"]
    values = {}
    for field, (default, read) in _FIELDS.items():
        name = f"HIPBMM_{field.upper()}"
        text = env.get(name) or default.replace("$HIPBMM_HOME", home.rstrip("/"))
        if len(text) > MAX_TEXT or "\0" in text:
            raise SettingsError(f"{name} is longer than {MAX_TEXT} characters")
        values[field] = read(name, text)
    if not values["mode"]:
        values["server_args"] = tuple(_resolved(argument, env) for argument in values["server_args"])
    # What a user set to switch a part of the contract off. Unset is fine: exec sets it.
    conflicts = tuple(name for name in CONTRACT_ENV if env.get(name, "1").lower() not in ("1", "true", ""))
    return Settings(**values, conflicting_env=conflicts)


def _resolved(argument: str, env: Mapping[str, str]) -> str:
    """An argument as the server gets it: Kubernetes puts variables in place of `$(NAME)`, and `$` of `$$`."""
    if "$" not in argument:
        return argument
    import re  # noqa: PLC0415 - few arguments refer to variables, and a start takes milliseconds

    return re.sub(
        r"\$(?:\$|\(([^)]*)\))", lambda found: "$" if found[1] is None else env.get(found[1], found[0]), argument
    )


def with_contract(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with the contract's variables where it has none."""
    return {**env, **{name: value for name, value in CONTRACT_ENV.items() if not env.get(name)}}
