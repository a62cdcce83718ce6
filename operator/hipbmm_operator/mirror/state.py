"""The mirror of one resource as it is, and what it should hold. Pure values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.mirror.content import GZIP, Content
from hipbmm_operator.pods.pod import Pod

GRACE = timedelta(seconds=120)
"""How long the first rollout waits for rows to reach the mirror; then the others tune for themselves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`mounted` and `archives` are ConfigMaps as they are kept in memory (their content as digest and keys).

    `content` is what they should hold; None when nothing has to be written. `taken` are the shards of pods that need
    not be read again. `on_their_way` are uids of pods whose rows are not in the mirror yet. `reason` and `message` say
    why rows could not be taken over.
    """

    mounted: Json | None = None
    archives: tuple[Json, ...] = ()
    content: Content | None = None
    taken: frozenset[str] = frozenset()
    on_their_way: frozenset[str] = frozenset()
    reason: str = ""
    message: str = ""
    again: float | None = None


def keys(body: Json | None) -> list[str]:
    """Names of the shards in a kept ConfigMap."""
    return [key.removesuffix(GZIP) for key in ((body or {}).get("content") or {}).get("keys", [])]


def digest(body: Json | None) -> str:
    """Digest of what a kept ConfigMap holds now."""
    return str(((body or {}).get("content") or {}).get("digest", ""))


def meant(body: Json | None) -> str:
    """Digest of what was written into it."""
    return _annotation(body, names.ANNOTATION_DIGEST)


def taken(bodies: Iterable[Json | None]) -> frozenset[str]:
    """The shards that are noted as read on these ConfigMaps."""
    noted = ",".join(_annotation(body, names.ANNOTATION_TAKEN) for body in bodies)
    return frozenset(name for name in noted.split(",") if name)


def missing(pod: Pod, held: frozenset[str]) -> frozenset[str]:
    """Shards that a pod has written into its log and the mirror has not taken."""
    return frozenset(pod.report.mirror_shards) - held if pod.report else frozenset()


def in_time(pod: Pod, now: datetime) -> bool:
    """Whether it is worth waiting for the rows of this pod."""
    finished = pod.warm_finished
    return finished is None or now - finished < GRACE


def current(mounted: Json | None, archives: Iterable[Json]) -> Json | None:
    """The archive that the mounted ConfigMap is a copy of; without that one the newest."""
    found = sorted(archives, key=lambda body: str(body["metadata"].get("creationTimestamp", "")))
    fitting = [body for body in found if digest(body) == meant(mounted)]
    return next(iter(fitting or found[::-1]), None)


def drifted(owner_name: str, mounted: Json | None, archive: Json | None) -> bool:
    """Whether one of the two is gone, or was changed by somebody."""
    if mounted is None or archive is None:
        return mounted is not None or archive is not None
    labels = (mounted.get("metadata") or {}).get("labels") or {}
    if not names.labels(owner_name).items() <= labels.items():
        return True
    if _annotation(mounted, names.ANNOTATION_DEPLOYMENT) != owner_name:
        return True
    content = mounted.get("content") or {}
    return bool(content.get("extra")) or digest(mounted) != meant(mounted) or meant(mounted) != digest(archive)


def _annotation(body: Json | None, key: str) -> str:
    return str((((body or {}).get("metadata") or {}).get("annotations") or {}).get(key, ""))
