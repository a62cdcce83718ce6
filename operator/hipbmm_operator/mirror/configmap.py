"""The ConfigMaps of a mirror: one that pods mount, by a name that never changes, and an immutable copy of it."""

from collections.abc import Iterable

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.mirror.content import Content

_DIGITS = 10


def archive_name(owner_name: str, digest: str) -> str:
    """Name of the immutable copy of a content."""
    return names.child(owner_name, f"mirror-{digest[:_DIGITS]}")


def build(owner: Owner, content: Content, taken: Iterable[str]) -> Json:
    """What pods mount. `taken` are the shards that were read from logs, so that none is read twice."""
    metadata = owner.metadata(names.mirror(owner.name))
    metadata["annotations"] |= {
        names.ANNOTATION_DIGEST: content.digest,
        names.ANNOTATION_TAKEN: ",".join(sorted(taken)),
    }
    return kinds.CONFIG_MAP.body(metadata, binaryData=content.binary())


def build_archive(owner: Owner, content: Content, taken: Iterable[str]) -> Json:
    """The immutable copy, from which the mounted one is repaired."""
    body = build(owner, content, taken)
    body["metadata"]["name"] = archive_name(owner.name, content.digest)
    return body | {"immutable": True}
