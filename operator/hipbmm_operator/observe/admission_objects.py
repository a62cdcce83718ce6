"""What injects pods in this cluster: the admission objects of this installation, and of others."""

from hipbmm_operator.injection import spelling
from hipbmm_operator.injection.registration import LABEL, NAME_START
from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.profiles.facts import Admission

_OURS = f"{spelling.LABEL_ADMISSION}={spelling.ADMISSION}"
_POLICY_END = f"-{LABEL}"


async def read(kube: Kube, name: str) -> Admission:
    """`name` begins the names of our admission objects. Raises ApiError."""
    policies = await _names(kube, kinds.MUTATING_POLICY_BINDING)
    webhooks = await _names(kube, kinds.MUTATING_WEBHOOK)
    every = {each.removesuffix(_POLICY_END) for each in policies if each.endswith(_POLICY_END)}
    every |= {each.removeprefix(NAME_START) for each in webhooks if each.startswith(NAME_START)}
    installations = tuple(sorted(every))
    if f"{name}{_POLICY_END}" in policies:
        return Admission("Policy", installations)
    return Admission("Webhook" if f"{NAME_START}{name}" in webhooks else "None", installations)


async def _names(kube: Kube, kind: Kind) -> set[str]:
    """Of the objects with our label; none where the API server has no such kind, or no right is given."""
    try:
        return {str(item["metadata"]["name"]) async for page in kube.pages(kind, selector=_OURS) for item in page.items}
    except (errors.NotFoundError, errors.ForbiddenError):
        return set()
