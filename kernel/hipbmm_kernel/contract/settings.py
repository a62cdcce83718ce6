"""Settings of the program: `HIPBMM_*` environment variables, as docs/pod-contract.md documents them.

Values are parsed once, strictly: a setting that cannot be understood ends the command with status 2 and a message that
names the variable, because guessing one would tune or serve something else than was asked.
"""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

import json
from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel.rows.gemm import Linear

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


class SettingsError(ValueError):
    """A variable cannot be understood; the message names it."""


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
    linears: tuple[Linear, ...]
    tokens: tuple[int, ...]
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
        server_args=parse_arguments("HIPBMM_SERVER_ARGS", _text(env, "HIPBMM_SERVER_ARGS", home)),
        vllm_version=_text(env, "HIPBMM_VLLM_VERSION", home),
        linears=parse_linears("HIPBMM_LINEARS", _text(env, "HIPBMM_LINEARS", home)),
        tokens=parse_tokens("HIPBMM_TOKENS", _text(env, "HIPBMM_TOKENS", home)),
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
