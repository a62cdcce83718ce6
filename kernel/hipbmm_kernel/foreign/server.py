"""The server of this pod as settings for a plan: from the profile, the argv, and the file that the argv names."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.argv import builtin, command, flags
from hipbmm_kernel.argv.command import Server, Unread
from hipbmm_kernel.argv.values import Marks
from hipbmm_kernel.foreign import config_file
from hipbmm_kernel.planner.server_flags import ServerFlags

PROFILE = "Profile"
CONFIG_FILE = "ConfigFileUnreadable"


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
    try:
        here = dict(found.env).get(builtin.HERE, "")
        configured = config_file.arguments(posixpath.join(here, found.config_file))
    except config_file.ConfigFileError as error:
        return Unread(CONFIG_FILE, str(error))
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
