"""What a namespace asks of pods, read when a pod template is about to be rendered."""

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.resources.circumstances import Rules, admits_non_root_only, bounds_of

_NOT_TO_BE_READ = (errors.ForbiddenError, errors.NotFoundError)


async def read(kube: Kube, namespace: str) -> Rules:
    """By its LimitRanges and its Pod Security Standard. What may not be read is no rule. Raises ApiError."""
    try:
        bodies = [body async for page in kube.pages(kinds.LIMIT_RANGE, namespace) for body in page.items]
    except _NOT_TO_BE_READ:
        bodies = []
    try:
        non_root = admits_non_root_only(await kube.get(kinds.NAMESPACE, "", namespace))
    except _NOT_TO_BE_READ:
        non_root = False
    return Rules(bounds_of(bodies), non_root)
