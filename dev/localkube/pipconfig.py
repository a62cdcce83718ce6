"""The pip configuration of this machine as one file, for builds that cannot see the machine. Never in an image."""

import configparser
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

# These name files of this machine, or what a build decides itself.
_LEFT_OUT = {"cert", "client-cert", "config-file", "cache-dir", "require-virtualenv", "user", "target", "prefix", "log"}


def merged(files: Iterable[str], env: Mapping[str, str]) -> str:
    """The texts `files`, later ones winning, then the `PIP_*` variables, as pip itself does it. May be empty.

    Values that are paths of this machine (a find-links directory) are dropped.
    """
    result = configparser.RawConfigParser()
    for text in files:
        result.read_string(text)
    if not result.has_section("global"):
        result.add_section("global")
    for variable, value in sorted(env.items()):
        if variable.startswith("PIP_") and value:
            result.set("global", variable.removeprefix("PIP_").lower().replace("_", "-"), value)
    for section in result.sections():
        for key, value in result.items(section):
            words = [word for word in value.split() if not word.startswith(("/", "~", "."))]
            if key in _LEFT_OUT or not words:
                result.remove_option(section, key)
            else:
                result.set(section, key, "\n".join(words) if len(words) > 1 else words[0])
    output = io.StringIO()
    result.write(output)
    return output.getvalue() if any(result.items(section) for section in result.sections()) else ""


def locations(env: Mapping[str, str]) -> list[Path]:
    """Where pip looks on Linux, the weakest first; PIP_CONFIG_FILE may switch files off or add one."""
    own = env.get("PIP_CONFIG_FILE", "")
    if own == "/dev/null":
        return []
    home = Path(env.get("HOME") or "~").expanduser()
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    paths = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    return [*paths, Path(own)] if own else paths


def of_machine(env: Mapping[str, str]) -> str:
    """The merged configuration of this machine."""
    found = [path for path in locations(env) if path.is_file()]
    return merged((path.read_text(encoding="utf-8") for path in found), env)
