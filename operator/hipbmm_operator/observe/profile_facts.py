"""What is read of the cluster about a profile. Answers that change seldom are kept for a while."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import jsonpatch

from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.injection import patch, spelling
from hipbmm_operator.injection.registration import LABEL, NAME_START
from hipbmm_operator.kube import errors, kinds, metadata, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import as_object, objects_at
from hipbmm_operator.kube.times import moment
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.on_demand import last_time
from hipbmm_operator.observe.read_cache import ReadCache
from hipbmm_operator.observe.served_from import ServedFromReads
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.report import parse_progress
from hipbmm_operator.profiles import facts as values
from hipbmm_operator.profiles import recipe, trials
from hipbmm_operator.profiles.facts import Admission, Facts, Kernel, Preflight, Profile
from hipbmm_operator.profiles.pods import ForeignPod

_SHORT_SECONDS, _LONG_SECONDS = 10.0, 60.0
_ENV_FILES, _SIDECARS = (1, 35), (1, 29)
"""Kubernetes of API server and nodes since which `fileKeyRef`, and native sidecars, are on: an older kubelet would wait
for the end of a sidecar, or refuse the pod."""
_SKEW = 3
"""By how many minors a kubelet may be older than the API server (kubernetes.io/releases/version-skew-policy)."""
_SAMPLES = 4
_INTERNAL_ERROR = 500
"""The API server's answer when it cannot call a webhook of somebody else, for as long as that is so."""
_CREATIONS = timedelta(minutes=20)
"""Longer than controllers wait between two tries to create a pod (17 minutes): the next one is to be plain."""
_OF_EVERY_POD = "violates PodSecurity"
"""It names all containers, `hipbmm-warm` with the server that it is a copy of: the plain pod is refused as well. What
it has against our own parts a dry run meets."""
_LOG_LINES = 20
_OUR_ADMISSION = f"{spelling.LABEL_ADMISSION}={spelling.ADMISSION}"
_POLICY_END = f"-{LABEL}"


class ProfileReads:
    """Reads for profiles. `name` begins the names of the admission objects; `mirrors` are those of a namespace.

    `kubelets` are the versions of the nodes on which their pods run, None when nodes cannot be read.
    """

    def __init__(
        self,
        kube: Kube,
        name: str,
        mirrors: Callable[[str], tuple[str, ...]],
        kubelets: Callable[[], Iterable[str] | None],
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._name = name
        self._mirrors = mirrors
        self._kubelets = kubelets
        self._kept = ReadCache(clock)
        self._served_from = ServedFromReads(kube, clock, spelling.HARVEST)

    async def facts(
        self, profile: Profile, body: Json, others: Mapping[str, Json], kernel: Kernel, now: datetime
    ) -> Facts:
        """Everything about a profile; `others` are the profiles of its namespace. Raises ApiError."""
        namespace = profile.meta.namespace
        enabled = await self._kept.get(("enabled", namespace), _SHORT_SECONDS, lambda: self._enabled(namespace))
        found = await self._pods(profile, enabled=enabled)
        admission = await self._kept.get("admission", _SHORT_SECONDS, self._admission)
        oldest = self._oldest(await self._kept.get("server", _LONG_SECONDS, self._kube.server_version))
        served_from, _ = await self._served_from.at((each.pod for each in found if each.injected), now)
        known = Facts(
            pods=found,
            enabled=enabled,
            at_work=await self._at_work(profile, found),
            kernel=kernel,
            mirrors=self._mirrors_of(profile),
            claim=await self._claim(profile),
            env_files=oldest >= _ENV_FILES,
            admission=admission,
            rivals=values.rivals(body, others),
            served_from=served_from,
        )
        spec = profile.spec
        if not isinstance(spec, ProfileSpec) or not kernel.config_map or not spec.preflight:
            return known
        key = (profile.meta.uid, profile.meta.generation, kernel.sha256, known.claim)
        sidecars = oldest >= _SIDECARS
        checked = await self._kept.get(
            key, _LONG_SECONDS, lambda: self._preflight(profile, spec, known, now, sidecars=sidecars)
        )
        return replace(known, preflight=checked)

    async def _pods(self, profile: Profile, *, enabled: bool) -> tuple[ForeignPod, ...]:
        """Pods that name the profile, and, in an `enabled` namespace, those that it chooses.

        Listed when they are needed: the operator watches its own pods only.
        """
        # No pod can name a profile with a name longer than a label: the API server refuses such a selector.
        name, label = profile.meta.name, spelling.LABEL_PROFILE
        wanted = [f"{label}={name}"] if len(name) <= names.MAX_LABEL else []
        labels = profile.spec.match.pod_labels if isinstance(profile.spec, ProfileSpec) else {}
        if labels and enabled:
            wanted.append(",".join((*(f"{key}={value}" for key, value in sorted(labels.items())), f"!{label}")))
        found: list[ForeignPod] = []
        for selector in wanted:
            async for page in self._kube.pages(kinds.POD, profile.meta.namespace, selector):
                found += map(parse.foreign_pod, page.items)
        return tuple(sorted(found, key=lambda each: each.pod.name))

    async def _admission(self) -> Admission:
        """What injects pods in this cluster: the admission objects of this installation, and of others."""
        policies = await self._names_of_ours(kinds.MUTATING_POLICY_BINDING)
        webhooks = await self._names_of_ours(kinds.MUTATING_WEBHOOK)
        every = {each.removesuffix(_POLICY_END) for each in policies if each.endswith(_POLICY_END)}
        every |= {each.removeprefix(NAME_START) for each in webhooks if each.startswith(NAME_START)}
        installations = tuple(sorted(every))
        if f"{self._name}{_POLICY_END}" in policies:
            return Admission("Policy", installations)
        return Admission("Webhook" if f"{NAME_START}{self._name}" in webhooks else "None", installations)

    async def _names_of_ours(self, kind: Kind) -> set[str]:
        """Of the objects with our label; none where the API server has no such kind, or no right is given."""
        pages = self._kube.pages(kind, selector=_OUR_ADMISSION)
        try:
            return {str(item["metadata"]["name"]) async for page in pages for item in page.items}
        except errors.NOT_TO_BE_READ:
            return set()

    def _mirrors_of(self, profile: Profile) -> tuple[str, ...]:
        if not isinstance(profile.spec, ProfileSpec) or profile.spec.cache.mirror == "Never":
            return ()
        found = (mirror_name(profile.meta.name), *self._mirrors(profile.meta.namespace))
        return tuple(dict.fromkeys(found))[:8]

    async def _enabled(self, namespace: str) -> bool:
        try:
            body = await self._kube.get(kinds.NAMESPACE, "", namespace)
        except errors.NOT_TO_BE_READ:
            return False
        return metadata.parse(body).labels.get(spelling.LABEL_NAMESPACE) == "enabled"

    async def _claim(self, profile: Profile) -> tuple[str, str]:
        """Reason and message when the claim that the spec names would keep pods waiting."""
        if not isinstance(profile.spec, ProfileSpec) or profile.spec.cache.pvc is None:
            return "", ""
        name = profile.spec.cache.pvc.claim_name
        body = await self._kube.find(kinds.CLAIM, profile.meta.namespace, name)
        if body is None:
            return "ClaimNotFound", f"spec.cache.pvc.claimName: there is no PersistentVolumeClaim {name}"
        claim = parse.claim(body)
        if claim.meta.deleting:
            return "ClaimTerminating", f"spec.cache.pvc.claimName: {name} is being deleted, new pods would wait for it"
        if claim.phase != "Bound":
            return "ClaimPending", f"spec.cache.pvc.claimName: {name} is {claim.phase}, pods would wait for it"
        if "ReadWriteMany" not in claim.modes:
            return "AccessModeUnsupported", f"spec.cache.pvc.claimName: {name} is not ReadWriteMany, pods would wait"
        return "", ""

    def _oldest(self, version: str) -> tuple[int, int]:
        """The oldest Kubernetes of API server and nodes; as old as may be where a node does not say."""
        major, minor = server = _minor(version) or (0, 0)
        unknown, kubelets = (major, minor - _SKEW), self._kubelets()
        if kubelets is None:
            return unknown
        return min([server, *(_minor(kubelet) or unknown for kubelet in kubelets)])

    async def _at_work(self, profile: Profile, found: tuple[ForeignPod, ...]) -> frozenset[str]:
        """Pods that try an image and whose program runs: their log has a line of progress."""
        testing = {each.pod for each in profile.previous.canaries if each.state == "Testing"}
        out = set()
        for each in found:
            if each.pod.name in testing and each.pod.container(contract.WARM).running:
                try:
                    text = await self._kube.log(each.pod.namespace, each.pod.name, spelling.WARM, _LOG_LINES)
                except errors.ApiError:
                    continue  # the next read is seconds away
                if parse_progress(text) is not None:
                    out.add(each.pod.uid)
        return frozenset(out)

    async def _preflight(
        self, profile: Profile, spec: ProfileSpec, known: Facts, now: datetime, *, sidecars: bool
    ) -> Preflight:
        """Dry runs of a pod of ours and of plain pods that exist, with and without injection."""
        name, namespace, unknown, tried = profile.meta.name, profile.meta.namespace, "", False
        refused = ("refused", namespace)
        if met := await self._kept.get(refused, _SHORT_SECONDS, lambda: self._not_created(namespace, now)):
            return Preflight(met)
        harvest = sidecars and spec.harvest == "Auto" and not await self._bounds_pods(namespace)
        for sample in [_sample(namespace, spec.container or "vllm"), *_plain(known.pods)]:
            refusal = await self._refusal(sample, failing=_INTERNAL_ERROR)
            if refusal:
                unknown = f"a plain pod is refused as well: {refusal}"
                continue
            tried = True
            if harvest and await self._refusal(_injected(sample, name, spec, known, harvest=True)):
                harvest = False
            if not harvest:
                refusal = await self._refusal(_injected(sample, name, spec, known, harvest=False))
            if refusal:
                return Preflight(refusal)
        return Preflight(unknown=unknown, harvest=harvest and tried)

    async def _not_created(self, namespace: str, now: datetime) -> str:
        """What refused a pod by the name of something of ours: no dry run was like it, and no pod is there to count."""
        try:
            pages = self._kube.pages(kinds.EVENT, namespace, fields="reason=FailedCreate")
            events = [event async for page in pages for event in page.items]
        except errors.ForbiddenError:
            return ""
        recent = (event for event in events if now - (moment(last_time(event)) or now) < _CREATIONS)
        messages = (str(event.get("message", "")) for event in recent)
        return next((each for each in messages if trials.names_ours(each) and _OF_EVERY_POD not in each), "")

    async def _bounds_pods(self, namespace: str) -> bool:
        """Whether a pod may have all of a quota, or the maximum of a pod: then a sidecar is too much."""
        try:
            async for page in self._kube.pages(kinds.RESOURCE_QUOTA, namespace):
                if page.items:
                    return True
            async for page in self._kube.pages(kinds.LIMIT_RANGE, namespace):
                rules = (rule for item in page.items for rule in objects_at(item, "spec", "limits"))
                if any(rule.get("type") == "Pod" for rule in rules):
                    return True
        except errors.ForbiddenError:
            return True
        return False

    async def _refusal(self, pod: Json, failing: int | None = None) -> str:
        """Why a pod is not let in; raises ApiError when nobody says, but for an HTTP status that counts as such."""
        try:
            await self._kube.try_create(kinds.POD, pod)
        except (errors.ForbiddenError, errors.InvalidError, errors.NotFoundError) as error:
            return error.message
        except errors.UnavailableError as error:
            if error.status != failing:
                raise
            return error.message
        return ""


def mirror_name(profile: str) -> str:
    """Name of the ConfigMap with a profile's rows."""
    return names.child(profile, "profile-mirror")


def _minor(version: str) -> tuple[int, int] | None:
    """`v1.35.2-gke.1` as (1, 35); None when it is no version."""
    found = re.match(r"v?([0-9]{1,9})\.([0-9]{1,9})(?![0-9])", version)
    return (int(found[1]), int(found[2])) if found else None


def _sample(namespace: str, container: str) -> Json:
    """A pod as small and as restricted as a server can be."""
    limits = {"cpu": "1", "memory": "1Gi", "amd.com/gpu": "1"}
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    server = {
        "name": container,
        "image": "localhost/hipbmm/preflight:1",
        "command": ["vllm", "serve"],
        # Not Guaranteed: else it would get no sidecar.
        "resources": {"limits": limits, "requests": {**limits, "cpu": "500m"}},
        "securityContext": context,
    }
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [server],
    }
    return _pod({"namespace": namespace, "generateName": "hipbmm-preflight-"}, spec)


def _plain(pods: tuple[ForeignPod, ...]) -> list[Json]:
    """One plain pod of each workload, as it could be created again."""
    found: dict[tuple[str, str], Json] = {}
    for each in pods:
        if not each.injected and each.pod.live:
            about = {
                "namespace": each.pod.namespace,
                "generateName": "hipbmm-preflight-",
                "labels": metadata.parse(each.body).labels,
            }
            spec = {key: value for key, value in as_object(each.body.get("spec")).items() if key != "nodeName"}
            found.setdefault((each.workload.kind, each.workload.name), _pod(about, spec))
    return list(found.values())[:_SAMPLES]


def _pod(about: Json, spec: Json) -> Json:
    """A pod that admission of ours leaves alone: what is to be tried is in it already."""
    annotations = {spelling.ANNOTATION_SKIP: "true"}
    return kinds.POD.body({**about, "annotations": annotations}, spec=spec)


def _injected(sample: Json, name: str, spec: ProfileSpec, known: Facts, *, harvest: bool) -> Json:
    asked = copy.deepcopy(sample)
    del asked["metadata"]["annotations"]
    assumed = replace(known, preflight=Preflight(harvest=harvest))
    status = {"injection": recipe.build(name, spec, assumed, (), ready=True).body()}
    operations = patch.operations(asked, {"metadata": {"name": name}, "status": status})
    done: Json = jsonpatch.apply_patch(asked, operations)
    done["metadata"]["annotations"] = {spelling.ANNOTATION_SKIP: "true"}
    return done
