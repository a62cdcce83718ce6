"""The ConfigMaps of a mirror: one that pods mount, by a name that never changes, and an immutable copy of it."""

from collections.abc import Iterable
from typing import Any

from hipbmm_operator import names
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.resources.owner import Owner

Json = dict[str, Any]

_DIGITS = 10


def name(owner_name: str) -> str:
    """Name of the ConfigMap that pods mount."""
    return names.child(owner_name, "mirror")


def archive_name(owner_name: str, digest: str) -> str:
    """Name of the immutable copy of a content."""
    return names.child(owner_name, f"mirror-{digest[:_DIGITS]}")


def build(owner: Owner, content: Content, taken: Iterable[str]) -> Json:
    """What pods mount. `taken` are the shards that were read from logs, so that none is read twice."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(owner, content, taken) | {"name": name(owner.name)},
        "binaryData": content.binary(),
    }


def build_archive(owner: Owner, content: Content, taken: Iterable[str]) -> Json:
    """The immutable copy, from which the mounted one is repaired."""
    metadata = _metadata(owner, content, taken) | {"name": archive_name(owner.name, content.digest)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "binaryData": content.binary(),
        "immutable": True,
    }


def _metadata(owner: Owner, content: Content, taken: Iterable[str]) -> Json:
    metadata = owner.metadata("mirror")
    metadata["annotations"] |= {
        names.ANNOTATION_DIGEST: content.digest,
        names.ANNOTATION_TAKEN: ",".join(sorted(taken)),
    }
    return metadata
