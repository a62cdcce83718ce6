"""Settings of the program: `HIPBMM_*` environment variables, as docs/pod-contract.md documents them.

Values are parsed once, strictly: a setting that cannot be understood ends the command with status 2 and a message that
names the variable, because guessing one would tune or serve something else than was asked.
"""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

SERVE_UNTUNED = "ServeUntuned"
BLOCK = "Block"
ONLINE = "Online"
EXHAUSTIVE = "Exhaustive"

SERVED_NAME = "hip_online_tuning_res.csv"
"""The name AITER opens in its working directory, hard-coded there."""

CONTRACT_ENV = {
    "VLLM_ROCM_USE_AITER": "1",
    "VLLM_ROCM_USE_AITER_LINEAR": "1",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1",
    "HIP_ONLINE_TUNING": "1",
}
"""What must be set for vLLM to use the HIPBMM kernel with its table; a user's other value wins and is reported."""

DEFAULTS: dict[str, str] = {
    "HIPBMM_HOME": "/hipbmm",
    "HIPBMM_STORE": "$HIPBMM_HOME/store",
    "HIPBMM_MIRRORS": "$HIPBMM_HOME/mirror",
    "HIPBMM_MIRROR_LOG": "0",
    "HIPBMM_MODEL": "",
    "HIPBMM_MODEL_CONFIG": "",
    "HIPBMM_TENSOR_PARALLEL": "1",
    "HIPBMM_SERVER_ARGS": "[]",
    "HIPBMM_VLLM_VERSION": "",
    "HIPBMM_LINEARS": "",
    "HIPBMM_TOKENS": "",
    "HIPBMM_TUNE": "1",
    "HIPBMM_POLICY": SERVE_UNTUNED,
    "HIPBMM_BUDGET_SECONDS": "1800",
    "HIPBMM_PROBLEM_SECONDS": "60",
    "HIPBMM_VERIFY": "1",
    "HIPBMM_SEARCH": ONLINE,
    "HIPBMM_RETUNE_TOKEN": "",
    "HIPBMM_POD_UID": "",
    "HIPBMM_POD_NAME": "",
    "HIPBMM_NODE_NAME": "",
    "HIPBMM_TERMINATION_LOG": "/dev/termination-log",
    "HIPBMM_SYSFS": "/sys",
    "HIPBMM_DEV": "/dev",
    "HIPBMM_METRICS_PORT": "9410",
    "HIPBMM_HARVEST_SECONDS": "20",
    "HIPBMM_READ_SECONDS": "90",
    "HIPBMM_WARMUP_SECONDS": "1800",
}
"""Every variable with its default, `$HIPBMM_HOME` standing for the value of that variable. Empty means not set."""

MAX_TEXT = 262_144
"""Bytes of one variable: what the kernel accepts as one environment string is twice that."""
MAX_LIST = 4096
MAX_WORD = 100
"""Of a pod's uid, which goes into the names of shards."""
MAX_DIGITS = 18
MAX_SECONDS = 10_000_000.0
MAX_TOKENS = 1 << 20
MAX_SIZE = 1 << 24

T = TypeVar("T")


class SettingsError(ValueError):
    """A variable cannot be understood; the message names it."""


class LinearSetting(NamedTuple):
    """One entry of HIPBMM_LINEARS: weight rows, weight columns, bias."""

    n: int
    k: int
    bias: bool


class Settings(NamedTuple):
    """The parsed environment. Paths are text, times are seconds."""

    home: str
    store: str
    mirrors: tuple[str, ...]
    mirror_log: bool
    model: str
    model_config: str
    tensor_parallel: int
    server_args: tuple[str, ...]
    vllm_version: str
    linears: tuple[LinearSetting, ...]
    tokens: tuple[int, ...] | None
    tune: bool
    policy: str
    budget_seconds: float
    problem_seconds: float
    verify: bool
    search: str
    retune_token: str
    pod_uid: str
    pod_name: str
    node_name: str
    termination_log: str
    sysfs: str
    dev: str
    metrics_port: int
    harvest_seconds: float
    read_seconds: float
    warmup_seconds: float
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


def parse_settings(env: Mapping[str, str]) -> Settings:
    """The settings in `env`. Raises SettingsError that names the first variable that cannot be understood."""
    home = _path(env, "HIPBMM_HOME", "")
    return Settings(
        home=home,
        store=_path(env, "HIPBMM_STORE", home),
        mirrors=tuple(part for part in _text(env, "HIPBMM_MIRRORS", home).split(":") if part),
        mirror_log=_flag(env, "HIPBMM_MIRROR_LOG"),
        model=_text(env, "HIPBMM_MODEL", home),
        model_config=_text(env, "HIPBMM_MODEL_CONFIG", home),
        tensor_parallel=_integer(env, "HIPBMM_TENSOR_PARALLEL", 1, 1024),
        server_args=_parsed_json(env, "HIPBMM_SERVER_ARGS", _arguments) or (),
        vllm_version=_text(env, "HIPBMM_VLLM_VERSION", home),
        linears=_parsed_json(env, "HIPBMM_LINEARS", _linears) or (),
        tokens=_parsed_json(env, "HIPBMM_TOKENS", _tokens),
        tune=_flag(env, "HIPBMM_TUNE"),
        policy=_choice(env, "HIPBMM_POLICY", (SERVE_UNTUNED, BLOCK)),
        budget_seconds=_seconds(env, "HIPBMM_BUDGET_SECONDS", 0.0),
        problem_seconds=_seconds(env, "HIPBMM_PROBLEM_SECONDS", 0.05),
        verify=_flag(env, "HIPBMM_VERIFY"),
        search=_choice(env, "HIPBMM_SEARCH", (ONLINE, EXHAUSTIVE)),
        retune_token=_text(env, "HIPBMM_RETUNE_TOKEN", home),
        pod_uid=_word(env, "HIPBMM_POD_UID"),
        pod_name=_text(env, "HIPBMM_POD_NAME", home),
        node_name=_text(env, "HIPBMM_NODE_NAME", home),
        termination_log=_path(env, "HIPBMM_TERMINATION_LOG", home),
        sysfs=_path(env, "HIPBMM_SYSFS", home),
        dev=_path(env, "HIPBMM_DEV", home),
        metrics_port=_integer(env, "HIPBMM_METRICS_PORT", 0, 65535),
        harvest_seconds=_seconds(env, "HIPBMM_HARVEST_SECONDS", 0.05),
        read_seconds=_seconds(env, "HIPBMM_READ_SECONDS", 0.0),
        warmup_seconds=_seconds(env, "HIPBMM_WARMUP_SECONDS", 0.0),
        conflicting_env=_conflicts(env),
    )


def _conflicts(env: Mapping[str, str]) -> tuple[str, ...]:
    """The contract's variables that a user set to switch a part off. Unset is fine: exec sets them."""
    return tuple(name for name in CONTRACT_ENV if env.get(name, "1").strip().lower() not in ("1", "true", ""))


def _text(env: Mapping[str, str], name: str, home: str) -> str:
    value = env.get(name) or DEFAULTS[name].replace("$HIPBMM_HOME", home)
    if len(value) > MAX_TEXT or "\0" in value:
        raise SettingsError(f"{name} is longer than {MAX_TEXT} characters")
    return value


def _path(env: Mapping[str, str], name: str, home: str) -> str:
    value = _text(env, name, home)
    return value.rstrip("/") or "/"


def _word(env: Mapping[str, str], name: str) -> str:
    """A text that goes into a shard, hence letters, digits, '.', '_' and '-' only, the first a letter or digit."""
    value = _text(env, name, "")
    plain = all(c.isascii() and (c.isalnum() or c in "._-") for c in value)
    if not plain or value[:1] in (".", "_", "-") or len(value) > MAX_WORD:
        raise SettingsError(f"{name} may hold at most {MAX_WORD} letters, digits, '.', '_' and '-', not {value[:60]!r}")
    return value


def _integer(env: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = _text(env, name, "")
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
    if not low <= value <= high:
        raise SettingsError(f"{name} must be an integer from {low} to {high}, not {text[:60]!r}")
    return value


def _seconds(env: Mapping[str, str], name: str, low: float) -> float:
    text = _text(env, name, "")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= MAX_SECONDS:
        raise SettingsError(f"{name} must be a number of seconds from {low} to {MAX_SECONDS:.0f}, not {text[:60]!r}")
    return value


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = _text(env, name, "").lower()
    if text in ("1", "true"):
        return True
    if text in ("0", "false"):
        return False
    raise SettingsError(f"{name} must be 0 or 1, not {text[:60]!r}")


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    text = _text(env, name, "")
    if text not in choices:
        raise SettingsError(f"{name} must be {' or '.join(choices)}, not {text[:60]!r}")
    return text


def _parsed_json(
    env: Mapping[str, str], name: str, parse: Callable[[str, list[object]], tuple[T, ...]]
) -> tuple[T, ...] | None:
    text = _text(env, name, "")
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{name} is not JSON: {str(error)[:120]}") from error
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise SettingsError(f"{name} must be a JSON array of at most {MAX_LIST} entries")
    return parse(name, value)


def _arguments(name: str, value: list[object]) -> tuple[str, ...]:
    for item in value:
        if not isinstance(item, str):
            raise SettingsError(f"{name} must hold strings only, not {str(item)[:60]}")
    return tuple(str(item) for item in value)


def _tokens(name: str, value: list[object]) -> tuple[int, ...]:
    tokens = []
    for item in value:
        if not isinstance(item, int) or isinstance(item, bool) or not 1 <= item <= MAX_TOKENS:
            raise SettingsError(f"{name} must hold integers from 1 to {MAX_TOKENS}, not {str(item)[:60]}")
        tokens.append(item)
    return tuple(tokens)


def _linears(name: str, value: list[object]) -> tuple[LinearSetting, ...]:
    return tuple(_linear(name, item) for item in value)


def _linear(name: str, item: object) -> LinearSetting:
    if not isinstance(item, dict) or not set(item) <= {"n", "k", "bias"}:
        raise SettingsError(f'{name} must hold objects {{"n", "k", "bias"}}, not {str(item)[:60]}')
    sizes = []
    for key in ("n", "k"):
        size = item.get(key)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_SIZE:
            raise SettingsError(f"{name}: {key} must be an integer from 1 to {MAX_SIZE}, not {str(size)[:60]}")
        sizes.append(size)
    bias = item.get("bias", False)
    if not isinstance(bias, bool):
        raise SettingsError(f"{name}: bias must be true or false, not {str(bias)[:60]}")
    return LinearSetting(sizes[0], sizes[1], bias)
