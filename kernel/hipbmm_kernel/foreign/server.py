"""The server of this pod as settings for a plan: from the profile, the argv, and the file that the argv names."""

import importlib
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.argv import builtin, command, flags
from hipbmm_kernel.argv.command import Server, Unread
from hipbmm_kernel.argv.values import Marks
from hipbmm_kernel.planner.server_flags import ServerFlags

PROFILE = "Profile"
CONFIG_FILE = "ConfigFileUnreadable"
MAX_BYTES = 1 << 20


class Planned(NamedTuple):
    """`env`: what the server's process sees beside the container's own, and HIPBMM_* settings. `note` says whence.

    `hidden` are variables that the command line takes away, or sets to what only running it would show.
    """

    env: Mapping[str, str]
    note: str
    hidden: tuple[str, ...] = ()


def find(argv: Sequence[str], env: Mapping[str, str], *, has_command: bool) -> Planned:
    """The server's model, arguments and variables. Never raises: what is not understood is a note, and no model."""
    found = command.find(argv, env, has_command=has_command)
    if isinstance(found, Server):
        found = _with_config_file(found)
    if isinstance(found, Server):
        model = env.get("HIPBMM_MODEL") or found.model
        return Planned(_settings(env, found, model), f"server: {found.form}: {model}", found.hidden)
    if env.get("HIPBMM_MODEL"):
        return Planned({}, f"server: {PROFILE}: {env['HIPBMM_MODEL']} ({found.reason}: {found.about})")
    return Planned({}, f"server: {found.reason}: {found.about}")


def _with_config_file(found: Server) -> Server | Unread:
    if not found.config_file:
        return found
    configured = _file_arguments(posixpath.join(dict(found.env).get(builtin.HERE, ""), found.config_file))
    if isinstance(configured, str):
        return Unread(CONFIG_FILE, configured)
    model, rest = flags.taken(configured, "model")
    if not found.model and not model:
        return Unread(command.MODEL_UNKNOWN, f"neither the command line nor {found.config_file} names it")
    known = flags.split(rest, Marks(), found.form)
    if isinstance(known, str):
        return Unread(CONFIG_FILE, f"{found.config_file}: {known}")
    return found._replace(model=found.model or model, arguments=(*known, *found.arguments))


def _settings(env: Mapping[str, str], found: Server, model: str) -> dict[str, str]:
    size = ServerFlags.from_argv(found.arguments).tensor_parallel
    named = {"HIPBMM_MODEL": model, "HIPBMM_SERVER_ARGS": json.dumps(list(found.arguments))}
    if size and not env.get("HIPBMM_TENSOR_PARALLEL"):
        named["HIPBMM_TENSOR_PARALLEL"] = str(size)
    return {**dict(found.env), **named}


def _file_arguments(path: str) -> tuple[str, ...] | str:
    """The arguments that vLLM's `--config FILE` stands for, in vLLM's own order; a text says why it cannot be used.

    As `FlexibleArgumentParser.load_config_file` does it (vllm/utils/argparse_utils.py, 0.23 to 0.33): a flat YAML file,
    the command line wins. YAML is read by the image's own PyYAML, which vLLM needs for the same.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        document = importlib.import_module("yaml").safe_load(data)
    except Exception as error:  # noqa: BLE001 - PyYAML's own classes are not known here, and their texts show the file
        return f"{path}: {error.strerror if isinstance(error, OSError) else type(error).__name__}"
    if not isinstance(document, dict) or len(data) > MAX_BYTES:
        return f"{path}: not a mapping of at most {MAX_BYTES} bytes"
    found: list[str] = []
    for name, value in document.items():
        found += _argument(f"--{name}", value)
    # What `false` means only the image's vLLM knows: nothing, or `--no-NAME` from 0.28 on where there is such a flag.
    return (*found, *(["--config", path] if any(value is False for value in document.values()) else []))


def _argument(flag: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, list):
        return [flag, *(str(item) for item in value)] if value else []
    return [flag, json.dumps(value) if isinstance(value, dict) else str(value)]
