"""The two ConfigMaps of a profile: the kernel program, which is shared in a namespace, and the mirror of its rows."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.injection.spelling import HARVEST, KERNEL_KEY, WARM
from hipbmm_operator.kube import errors, kinds, metadata
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, object_at
from hipbmm_operator.mirror import content as contents
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.observe.log_rows import LogRows
from hipbmm_operator.observe.mirror_logs import still_in_logs
from hipbmm_operator.observe.profile_facts import mirror_name
from hipbmm_operator.observe.read_cache import ReadCache
from hipbmm_operator.profiles.facts import Facts, Kernel, Profile

LOG = logging.getLogger(__name__)

_LABELS = {"app.kubernetes.io/part-of": "hipbmm"}
_NAME_DIGITS = 12
_REFUSED_SECONDS = 60.0
"""Before rows are offered again to a ConfigMap that was refused."""
_PROVEN_SECONDS = 15.0
"""Between two reads of the program in a ConfigMap: it is immutable, and pods refuse another one anyway."""
_STORED_SECONDS = 60.0
"""Between two reads of whether the mirror is still there."""


@dataclass(frozen=True, slots=True)
class Program:
    """The kernel program that the operator brings."""

    data: bytes = b""
    problem: str = ""

    @property
    def sha256(self) -> str:
        """Of its bytes; "" when there is none."""
        return hashlib.sha256(self.data).hexdigest() if self.data else ""


def kernel_map(sha256: str) -> str:
    """Name of the ConfigMap with a program."""
    return f"hipbmm-kernel-{sha256[:_NAME_DIGITS]}"


class ProfileObjects:
    """Writes the two ConfigMaps of profiles."""

    def __init__(self, kube: Kube, program: Program, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._program = program
        self._clock = clock
        self._proven = ReadCache(clock)
        self._read: dict[str, frozenset[str]] = {}
        self._refused: dict[str, tuple[float, str]] = {}
        self._rows = LogRows(kube, clock, WARM, HARVEST)

    async def kernel(self, profile: Profile) -> Kernel:
        """The program's ConfigMap, made or read back; raises ApiError where a retry may help."""
        pin = profile.spec.pin if isinstance(profile.spec, ProfileSpec) else ""
        sha256 = pin or self._program.sha256
        if not sha256:
            return Kernel(problem=f"the operator has no kernel program: {self._program.problem}")
        name, key = kernel_map(sha256), (profile.meta.uid, sha256)
        seconds = 0.0 if self._proven.last(key) else _PROVEN_SECONDS
        problem = await self._proven.get(key, seconds, lambda: _or_refusal(name, self._prove(profile, name, sha256)))
        return Kernel(problem=problem) if problem else Kernel(sha256, name)

    async def _prove(self, profile: Profile, name: str, sha256: str) -> str:
        """See to it that the ConfigMap holds that program, for this profile too; else why it does not."""
        namespace = profile.meta.namespace
        body = await self._kube.find(kinds.CONFIG_MAP, namespace, name) or {}
        if body and not _is_right(body, sha256):
            if sha256 != self._program.sha256:
                return f"spec.pin: ConfigMap {name} is not immutable, or its {KERNEL_KEY} has another sha256"
            # Somebody has put another one in its place. It is immutable, so it can only be made anew.
            LOG.warning("ConfigMap %s/%s does not hold the program of its name, and is made anew", namespace, name)
            await self._kube.delete(kinds.CONFIG_MAP, namespace, name, metadata.parse(body).uid)
            body = {}
        if not body and sha256 != self._program.sha256:
            return f"spec.pin: there is no ConfigMap {name} with the pinned program in the namespace"
        if not body:
            data = {KERNEL_KEY: base64.b64encode(self._program.data).decode("ascii")}
            made = kinds.CONFIG_MAP.body(_metadata(profile, name), immutable=True, binaryData=data)
            body = await self._kube.create(kinds.CONFIG_MAP, made)
        meta = metadata.parse(body)
        if all(owner.get("uid") != profile.meta.uid for owner in meta.owners):
            patch = {"metadata": {"uid": meta.uid, "ownerReferences": [*meta.owners, _owner(profile)]}}
            await self._kube.merge(kinds.CONFIG_MAP, namespace, name, patch)
        return ""

    def mirror_problem(self, profile: Profile) -> str:
        """Why rows were not kept when they were last offered, "" when they were."""
        return self._refused.get(profile.meta.uid, (0.0, ""))[1]

    async def mirror(self, profile: Profile, facts: Facts) -> None:
        """Take over rows that pods have written into their logs; raises ApiError where a retry may help."""
        if not isinstance(profile.spec, ProfileSpec) or profile.spec.cache.mirror == "Never":
            return
        again, _ = self._refused.get(profile.meta.uid, (0.0, ""))
        if self._clock() < again:
            return
        name, stored = mirror_name(profile.meta.name), self._read.get(profile.meta.uid, frozenset())
        at = ("the mirror", f"{profile.meta.namespace}/{name}")
        is_gone = partial(self._is_gone, profile.meta.namespace, name)
        gone = await self._proven.latest(at, _STORED_SECONDS, is_gone) if stored else None
        if gone:
            stored = frozenset()  # somebody has deleted it: it is not watched
        found = await self._rows.new([each.pod for each in facts.pods if each.injected], stored)
        if found.shards:
            self._proven.drop(at)  # it is made, or made again
        problem = await _or_refusal(name, self._store(profile, name, found.shards)) if found.shards else ""
        if problem:
            self._refused[profile.meta.uid] = self._clock() + _REFUSED_SECONDS, problem
        else:
            self._refused.pop(profile.meta.uid, None)
            stored |= found.wanted | {shard.name for shard in found.shards}
            self._read[profile.meta.uid] = still_in_logs(stored, (each.pod for each in facts.pods))

    async def _is_gone(self, namespace: str, name: str) -> bool:
        return await self._kube.find(kinds.CONFIG_MAP, namespace, name) is None

    async def _store(self, profile: Profile, name: str, found: Iterable[Shard]) -> str:
        """Add rows to the mirror; why they are not kept, "" when they are. Raises ApiError."""
        namespace = profile.meta.namespace
        body = await self._kube.find(kinds.CONFIG_MAP, namespace, name) or {}
        if body and (theirs := _somebody_else(metadata.parse(body), profile)):
            return f"ConfigMap {name} was made for {theirs}"
        before = await asyncio.to_thread(contents.parse, body.get("binaryData"))
        content = before.joined(found)
        if content == before:
            return ""
        if not content.fits:
            return f"ConfigMap {name}: the rows are more than it can hold"
        if not body:
            made = kinds.CONFIG_MAP.body(_metadata(profile, name), binaryData=content.binary())
            await self._kube.create(kinds.CONFIG_MAP, made)
            return ""
        gone: dict[str, str | None] = dict.fromkeys(as_object(body.get("binaryData")))
        patch = {"metadata": {"uid": metadata.parse(body).uid}, "binaryData": {**gone, **content.binary()}}
        await self._kube.merge(kinds.CONFIG_MAP, namespace, name, patch)
        return ""

    def forget(self, uid: str) -> None:
        """The profile is gone."""
        self._read.pop(uid, None)
        self._refused.pop(uid, None)


def _is_right(body: Json, sha256: str) -> bool:
    try:
        data = base64.b64decode(str(object_at(body, "binaryData").get(KERNEL_KEY, "")), validate=True)
    except ValueError:
        return False
    return hashlib.sha256(data).hexdigest() == sha256 and body.get("immutable") is True


def _somebody_else(meta: metadata.Metadata, profile: Profile) -> str:
    """Whose a ConfigMap is, if not the profile's; one that outlived a profile, or a backup of one, has its labels."""
    if not meta.owners:
        return "" if _LABELS.items() <= meta.labels.items() else "something else"
    ours = any(owner.get("uid") == profile.meta.uid for owner in meta.owners)
    return "" if ours else f"{meta.owners[0].get('kind')} {meta.owners[0].get('name')}"


def _owner(profile: Profile) -> Json:
    """Not a controller: the profiles of a namespace share the program."""
    return kinds.HIPBMM_PROFILE.reference(profile.meta.name, profile.meta.uid)


def _metadata(profile: Profile, name: str) -> Json:
    return {
        "name": name,
        "namespace": profile.meta.namespace,
        "labels": dict(_LABELS),
        "ownerReferences": [_owner(profile)],
    }


async def _or_refusal(name: str, problem: Awaitable[str]) -> str:
    """Why a ConfigMap is not as it should be, or is refused; raises ApiError where a retry may help."""
    try:
        return await problem
    except (errors.ForbiddenError, errors.InvalidError) as error:
        return f"ConfigMap {name}: {error.message}"
