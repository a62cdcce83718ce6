"""The plan of this pod by its image's own vLLM: from the stores when one pod has asked already, else by asking."""

from typing import NamedTuple

from hipbmm_kernel import __version__
from hipbmm_kernel.contract.settings import with_contract
from hipbmm_kernel.image.installed import Installed
from hipbmm_kernel.planner.answer import Answer
from hipbmm_kernel.pod.model_lookup import Found
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.tune.handover import Handover


class ImagePlan(NamedTuple):
    """The answer, or None; `source` says where it is from, `notes` why there is none and what was odd.

    `key` is the plan's. `refused`: vLLM takes no server with these arguments.
    """

    answer: Answer | None
    source: str = ""
    notes: tuple[str, ...] = ()
    refused: bool = False
    key: str = ""


def find(here: Handover, image: Installed, found: Found) -> ImagePlan:
    """The image's answer for this pod's server. Never raises."""
    settings = here.settings
    if image.missing or not settings.image_seconds:
        return ImagePlan(None, notes=(f"planned from config.json: {image.missing or 'the image is not to be asked'}",))
    if not settings.model:
        return ImagePlan(None, notes=("planned from config.json: no model is named that the image could be asked for",))
    from hipbmm_kernel.image import plan_file, plan_key  # noqa: PLC0415 - not needed where no vLLM can be asked
    from hipbmm_kernel.store import plans  # noqa: PLC0415 - same

    arguments = (settings.model, *settings.server_args)
    key = plan_key.key_of(arguments, here.env, found.data, found.source, _image(here, image))
    problems: list[str] = []
    roots = (settings.store, *settings.mirrors)
    try:
        kept = within(plans.SECONDS, plans.find, here.volume, roots, key, plan_file.decode, problems)
    except TooLate as late:
        kept, problems = None, [f"plan file: {late}"]
    if kept is not None:
        return ImagePlan(kept, f"plan {key}", tuple(problems), key=key)
    made = _asked(here, arguments, key)
    return made._replace(notes=(*problems, *made.notes))


def _asked(here: Handover, arguments: tuple[str, ...], key: str) -> ImagePlan:
    from hipbmm_kernel.dispatch import kernel_plugin  # noqa: PLC0415 - only where a child starts
    from hipbmm_kernel.image import oracle, plan_file  # noqa: PLC0415 - no child process where a plan is known
    from hipbmm_kernel.store import plans  # noqa: PLC0415 - same

    settings, server = here.settings, with_contract(here.env)
    if settings.plugin:
        server = kernel_plugin.environment(server, settings.program)
    asked = oracle.ask(arguments, server, f"{settings.home}/image", settings.image_seconds, here.clock, here.stop)
    if asked.answer is None:
        return ImagePlan(None, notes=(f"planned from config.json: {asked.reason}",), refused=asked.refused)
    error = plans.keep_in_time(here.volume, settings.store, key, plan_file.encode(key, asked.answer))
    notes = (f"plan {key} could not be kept: {error}",) if error else ()
    return ImagePlan(asked.answer, f"plan {key}, asked of the image's vLLM {asked.answer.vllm}", notes, key=key)


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
