"""Settings of the simulator: HIPBMM_SIM_* variables, or the same names as KEY=VALUE lines of a mounted file.

The file (``$HIPBMM_SIM_FILE``, by default /etc/hipbmm-simulator/env, which a ConfigMap can provide) is for pods whose
environment belongs to somebody else; the environment wins. Nothing of this exists in a real serving image.
"""

import os
from functools import lru_cache
from pathlib import Path

DEFAULT_FILE = "/etc/hipbmm-simulator/env"


class SettingError(ValueError):
    """A HIPBMM_SIM_* value that cannot be understood; a test that asks for a fault must never run without it."""


@lru_cache(maxsize=1)
def _file_settings(path: str) -> dict[str, str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def text(name: str, default: str = "") -> str:
    """The value of HIPBMM_SIM_<name>, from the environment, else from the settings file, else ``default``."""
    key = f"HIPBMM_SIM_{name}"
    value = os.environ.get(key)
    if value is None:
        value = _file_settings(os.environ.get("HIPBMM_SIM_FILE", DEFAULT_FILE)).get(key)
    return default if value is None or not value.strip() else value.strip()


def number(name: str, default: float) -> float:
    """Like :func:`text`, as a number >= 0."""
    value = text(name)
    if not value:
        return default
    try:
        parsed = float(value)
    except ValueError as error:
        raise SettingError(f"HIPBMM_SIM_{name}={value!r} is not a number") from error
    if not parsed >= 0:
        raise SettingError(f"HIPBMM_SIM_{name}={value!r} is negative")
    return parsed
