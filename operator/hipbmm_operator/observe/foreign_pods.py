"""The pods of a profile, listed when they are needed: the operator watches its own pods only."""

from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.injection import spelling
from hipbmm_operator.kube import kinds, metadata, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.observe import parse
from hipbmm_operator.profiles import pods
from hipbmm_operator.profiles.facts import Profile
from hipbmm_operator.profiles.pods import ForeignPod


async def listed(kube: Kube, profile: Profile, *, enabled: bool) -> tuple[ForeignPod, ...]:
    """Pods that name the profile, and, in an `enabled` namespace, those that it chooses. Raises ApiError."""
    # No pod can name a profile whose name is longer than the value of a label, and the API server refuses the question.
    wanted = [f"{spelling.LABEL_PROFILE}={profile.meta.name}"] if len(profile.meta.name) <= names.MAX_LABEL else []
    labels = profile.spec.match.pod_labels if isinstance(profile.spec, ProfileSpec) else {}
    if labels and enabled:
        chosen = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        wanted.append(f"{chosen},!{spelling.LABEL_PROFILE}")
    found = []
    for selector in wanted:
        async for page in kube.pages(kinds.POD, profile.meta.namespace, selector):
            found += [foreign(body) for body in page.items]
    return tuple(sorted(found, key=lambda each: each.pod.name))


def foreign(body: Json) -> ForeignPod:
    """A pod from its object."""
    kernel = pods.kernel_of(body)
    return ForeignPod(
        pod=parse.pod(pods.with_our_names(body)),
        body=body,
        image=str(pods.server(body).get("image", "")),
        workload=pods.workload(metadata.parse(body)),
        injected=kernel is not None,
        kernel=kernel or "",
    )
