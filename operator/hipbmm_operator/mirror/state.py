"""The mirror of one resource as it is, and what it should hold. Pure values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hipbmm_operator.api.reasons import Storage
from hipbmm_operator.kube import names
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.mirror.content import GZIP, Content
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
GRACE = timedelta(seconds=120)
"""How long the first rollout waits for rows to reach the mirror; then the others tune for themselves."""


@dataclass(frozen=True, slots=True)
class MirrorMap:
    """A ConfigMap of a mirror as it is kept in memory: keys and digest of what it holds, and not the rows.

    `extra` are keys of its `data`, where nothing belongs.
    """

    meta: Metadata
    digest: str = ""
    keys: Sequence[str] = ()
    extra: Sequence[str] = ()
    immutable: bool = False

    @property
    def shards(self) -> frozenset[str]:
        """Names of the shards in it."""
        return frozenset(key.removesuffix(GZIP) for key in self.keys)

    @property
    def meant(self) -> str:
        """Digest of what was written into it."""
        return self.meta.annotations.get(names.ANNOTATION_DIGEST, "")

    @property
    def taken(self) -> frozenset[str]:
        """The shards that are noted on it as read from logs."""
        return frozenset(filter(None, self.meta.annotations.get(names.ANNOTATION_TAKEN, "").split(",")))


@dataclass(frozen=True, slots=True)
class MirrorState:
    """`mounted` is the ConfigMap that pods mount, `archives` are its immutable copies.

    `content` is what they should hold; None when nothing has to be written. `taken` are the shards of pods that need
    not be read again. `on_their_way` are uids of pods whose rows are not in the mirror yet. `reason` and `message` say
    why rows could not be taken over.
    """

    mounted: MirrorMap | None = None
    archives: tuple[MirrorMap, ...] = ()
    content: Content | None = None
    taken: frozenset[str] = frozenset()
    on_their_way: frozenset[str] = frozenset()
    reason: Storage | None = None
    message: str = ""
    again: float | None = None


def missing(pod: Pod, held: frozenset[str]) -> frozenset[str]:
    """Shards that a pod has written into its log and the mirror has not taken."""
    return frozenset(pod.report.mirror_shards) - held if pod.report else frozenset()


def in_time(pod: Pod, now: datetime) -> bool:
    """Whether it is worth waiting for the rows of this pod."""
    ended = pod.container(contract.WARM).ended
    return ended is None or ended.finished is None or now - ended.finished < GRACE


def current(mounted: MirrorMap | None, archives: Iterable[MirrorMap]) -> MirrorMap | None:
    """The archive that the mounted ConfigMap is a copy of; without that one the newest."""
    found = sorted(archives, key=lambda archive: archive.meta.created or _BEFORE_ALL)
    fitting = [archive for archive in found if mounted is not None and archive.digest == mounted.meant]
    return next(iter(fitting or found[::-1]), None)


def drifted(owner_name: str, mounted: MirrorMap | None, archive: MirrorMap | None) -> bool:
    """Whether one of the two is gone, or was changed by somebody."""
    if mounted is None or archive is None:
        return mounted is not None or archive is not None
    if not (mounted.meta.owners and archive.meta.owners):
        return True
    if not names.labels(owner_name).items() <= mounted.meta.labels.items():
        return True
    if mounted.meta.annotations.get(names.ANNOTATION_DEPLOYMENT) != owner_name:
        return True
    return bool(mounted.extra) or mounted.digest != mounted.meant or mounted.meant != archive.digest
