"""The plan of this pod: by its image's own vLLM where it can be asked, else by the built-in planner.

The image's answer is kept in the stores: one pod asks, the others find it.
"""

import functools
import os
from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import Settings, with_contract
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.image import installed
from hipbmm_kernel.image.installed import Installed
from hipbmm_kernel.planner import plan, vllm_version
from hipbmm_kernel.planner.answer import Answer, plan_of
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options, Plan
from hipbmm_kernel.planner.server_flags import ServerFlags, disabled_by, in_environment
from hipbmm_kernel.pod import model_lookup
from hipbmm_kernel.pod.model_lookup import Found
from hipbmm_kernel.pod.stores import Stores
from hipbmm_kernel.system.time_limits import Overtime, TooLate, within_processor_seconds
from hipbmm_kernel.tune.handover import Handover

CONFIG_INVALID = "ConfigInvalid"
CONFIG_MISSING = "ConfigMissing"


PLAN_SECONDS = 5.0
"""Of processor time; the largest real models take 0.2."""


class Planned(NamedTuple):
    """The plan, whose `reason` says why it tunes nothing; where it is from, and what was odd.

    `refused`: the image's vLLM takes no server with these arguments.
    """

    plan: Plan
    source: str
    notes: tuple[str, ...] = ()
    refused: bool = False


class Asked(NamedTuple):
    """The image's answer and where it is from, or None; `notes` say why there is none, and what was odd."""

    answer: Answer | None
    source: str = ""
    notes: tuple[str, ...] = ()
    refused: bool = False


def build_in_time(config: bytes | None, options: Options) -> Plan:
    """`plan.build`, with a plan that takes for ever as one more kind of ConfigInvalid."""
    try:
        return within_processor_seconds(PLAN_SECONDS, functools.partial(plan.build, config, options))
    except Overtime as over:
        remedy = "names, patterns or layers are too many to plan, or a pattern of an ignore list backtracks for ever"
        raise ConfigInvalid("config.json", over, remedy) from over


def make_plan(here: Handover, stores: Stores) -> Planned:
    """The plan of this pod: the image's own vLLM's where it can be asked, else the built-in one.

    Never raises: what cannot be planned is a reason.
    """
    found = model_lookup.find_config(here.settings, here.env, here.volume)
    if found.oversized:
        return Planned(_invalid(found.source), found.source)
    image = installed.read()
    options, notes = _options(here.settings, here.env, here.identity, image)
    asked = _ask(here, stores, image, found)
    if asked.answer is not None:
        made = plan_of(asked.answer, options)
        return Planned(made, asked.source, asked.notes + made.warnings)
    notes += asked.notes
    try:
        made = build_in_time(found.data, options)
    except ConfigInvalid as error:
        return Planned(_invalid(str(error)), found.source, notes, asked.refused)
    if made.reason == CONFIG_MISSING:
        made = made._replace(message=f"{made.message} ({found.source})")
    notes += made.warnings + _other_format(found.source)
    return Planned(made, found.source, notes, asked.refused)


def _invalid(message: str) -> Plan:
    return Plan("", plan.UNKNOWN, reason=CONFIG_INVALID, message=message)


def _ask(here: Handover, stores: Stores, image: Installed, found: Found) -> Asked:
    """The image's answer for this pod's server: from the stores where one pod has asked already, else by asking."""
    settings = here.settings
    if image.missing or not settings.image_seconds:
        return Asked(None, notes=(f"planned from config.json: {image.missing or 'the image is not to be asked'}",))
    if not settings.model:
        return Asked(None, notes=("planned from config.json: no model is named that the image could be asked for",))
    from hipbmm_kernel.image import kept_plan  # noqa: PLC0415 - not needed where no vLLM can be asked

    arguments = (settings.model, *settings.server_args)
    key = kept_plan.key_of(arguments, here.env, found.data, found.source, _image(here, image))
    source = f"plan {key}"
    notes: list[str] = []
    try:
        answer = stores.find_plan(key, kept_plan.decode, notes)
    except TooLate as late:
        answer, notes = None, [f"plan file: {late}"]
    new = answer is None
    if answer is None:
        from hipbmm_kernel.dispatch import kernel_plugin  # noqa: PLC0415 - only where a child starts
        from hipbmm_kernel.image import oracle  # noqa: PLC0415 - same

        server = with_contract(here.env)
        if settings.plugin:
            server = kernel_plugin.environment(server, settings.program)
        home, seconds = f"{settings.home}/image", settings.image_seconds
        asked = oracle.ask(arguments, server, home, seconds, here.clock, here.stop)
        if asked.answer is None:
            return Asked(None, "", (*notes, f"planned from config.json: {asked.reason}"), asked.refused)
        answer = asked.answer
        source = f"plan {key}, asked of the image's vLLM {answer.vllm}"
    error = stores.keep_plan(key, kept_plan.encode(key, answer), new=new)
    if error:
        notes.append(f"plan {key} could not be kept: {error}")
    return Asked(answer, source, tuple(notes))


def _image(here: Handover, image: Installed) -> dict[str, object]:
    """What the answer depends on in the image and its GPU."""
    settings, stack = here.settings, here.identity.stack
    return {
        "vllm": settings.vllm_version or here.identity.vllm,
        "record": image.record,
        "aiter": stack.aiter,
        "arch": stack.arch,
        "tensor_parallel": settings.tensor_parallel,
        **({"plugin": __version__} if settings.plugin else {}),
    }


def _other_format(source: str) -> tuple[str, ...]:
    """What vLLM reads in place of the config.json at this path where the weights are in Mistral's format as well."""
    other = f"{os.path.dirname(source)}/params.json"
    words = f"{other} is not read: vLLM takes it for the configuration where the weights are consolidated*.safetensors"
    return (words,) if source.endswith(f"/{model_lookup.FILE_NAME}") and os.path.isfile(other) else ()


def _options(
    settings: Settings, env: Mapping[str, str], identity: Identity, image: Installed
) -> tuple[Options, tuple[str, ...]]:
    """What the built-in plan depends on beside config.json, and what is not certain about it."""
    named = settings.vllm_version or identity.vllm or ""
    vllm = vllm_version.parse(named)
    notes = vllm_version.doubts(named)
    plugged = settings.plugin and image.has_kernel is False
    if plugged and not image.has_chain:
        notes += ("spec.server.plugin: this vLLM has no list of kernels that the plugin knows",)
    options = Options(
        tensor_parallel=settings.tensor_parallel,
        vllm=vllm or vllm_version.NEWEST,
        has_kernel=image.has_chain if plugged else image.has_kernel,
        disabled=disabled_by(env, vllm or vllm_version.NEWEST),
        flags=in_environment(ServerFlags.from_argv(settings.server_args), env),
        linears=settings.linears,
        tokens=settings.tokens,
        product=identity.stack.product,
    )
    return options, notes
