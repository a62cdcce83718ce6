"""The plan of this pod: its settings, the model's config.json and the image's vLLM, put into the pure planner."""

import functools
import os
from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.image import installed
from hipbmm_kernel.image.installed import Installed
from hipbmm_kernel.planner import plan, vllm_version
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options, Plan
from hipbmm_kernel.planner.server_flags import ServerFlags, disabled_by, in_environment
from hipbmm_kernel.pod import image_plan, model_lookup
from hipbmm_kernel.system.time_limits import Overtime, within_processor_seconds
from hipbmm_kernel.tune.handover import Handover

CONFIG_INVALID = "ConfigInvalid"
CONFIG_MISSING = "ConfigMissing"


PLAN_SECONDS = 5.0
"""Of processor time; the largest real models take 0.2."""


class Planned(NamedTuple):
    """The plan, and why it tunes nothing: a report's reason ("" when it tunes) and a sentence.

    `refused`: the image's vLLM takes no server with these arguments. `mirrored` is the name and the text that a mirror
    holds of the image's answer, None where there is no mirror.
    """

    plan: Plan
    reason: str
    message: str
    source: str
    notes: tuple[str, ...] = ()
    refused: bool = False
    mirrored: tuple[str, bytes] | None = None


def build_in_time(config: bytes | None, options: Options) -> Plan:
    """`plan.build`, with a plan that takes for ever as one more kind of ConfigInvalid."""
    try:
        return within_processor_seconds(PLAN_SECONDS, functools.partial(plan.build, config, options))
    except Overtime as over:
        remedy = "names, patterns or layers are too many to plan, or a pattern of an ignore list backtracks for ever"
        raise ConfigInvalid("config.json", over, remedy) from over


def make_plan(here: Handover) -> Planned:
    """The plan of this pod: the image's own vLLM's where it can be asked, else the built-in one.

    Never raises: what cannot be planned is a reason.
    """
    settings = here.settings
    found = model_lookup.find_config(settings, here.env, here.volume)
    unplanned = Plan("", plan.UNKNOWN)
    if found.oversized:
        return Planned(unplanned, CONFIG_INVALID, found.source, found.source)
    image = installed.read()
    options, notes = _options(settings, here.env, here.identity, image)
    asked = image_plan.find(here, image, found)
    notes += asked.notes
    if asked.answer is not None:
        from hipbmm_kernel.image import plan_file  # noqa: PLC0415 - of the image's answer alone, as the next two
        from hipbmm_kernel.planner import from_image  # noqa: PLC0415
        from hipbmm_kernel.store import plans  # noqa: PLC0415

        made = from_image.build(asked.answer, options)
        data = plan_file.encode(asked.key, asked.answer)
        mirrored = plans.frame(asked.key, data) if settings.mirror_log else None
        notes = (*asked.notes, *made.warnings)
        return Planned(made, made.reason, made.message, asked.source, notes, mirrored=mirrored)
    try:
        made = build_in_time(found.data, options)
    except ConfigInvalid as error:
        return Planned(unplanned, CONFIG_INVALID, str(error), found.source, notes, asked.refused)
    message = made.message
    if made.reason == CONFIG_MISSING:
        message = f"{message} ({found.source})"
    notes += made.warnings + _other_format(found.source)
    return Planned(made, made.reason, message, found.source, notes, asked.refused)


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
