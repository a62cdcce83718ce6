"""The ConfigMaps of a mirror, one that pods mount and an immutable copy of it, and the writes that lead there. Pure."""

from collections.abc import Iterable

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.kube.writes import Step
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.state import MirrorState

_DIGITS = 10


def archive_name(owner_name: str, digest: str) -> str:
    """Name of the immutable copy of a content."""
    return names.child(owner_name, f"mirror-{digest[:_DIGITS]}")


def build(owner: Metadata, content: Content, taken: Iterable[str]) -> Json:
    """What pods mount. `taken` are the shards that were read from logs, so that none is read twice."""
    metadata = owner.of_child(names.mirror(owner.name))
    metadata["annotations"] |= {
        names.ANNOTATION_DIGEST: content.digest,
        names.ANNOTATION_TAKEN: ",".join(sorted(taken)),
    }
    return kinds.CONFIG_MAP.body(metadata, binaryData=content.binary())


def build_archive(owner: Metadata, content: Content, taken: Iterable[str]) -> Json:
    """The immutable copy, from which the mounted one is repaired."""
    body = build(owner, content, taken)
    body["metadata"]["name"] = archive_name(owner.name, content.digest)
    return body | {"immutable": True}


def steps(owner: Metadata, state: MirrorState, *, wanted: bool) -> list[Step]:
    """First the immutable copy, then what pods mount; a former copy goes when the new one is mounted."""
    if not wanted:
        own = [*state.archives, *([state.mounted] if state.mounted else [])]
        return [Step.delete(kinds.CONFIG_MAP, each.meta) for each in own]
    if state.content is None:
        meant = state.mounted.meant if state.mounted else ""
        return [Step.delete(kinds.CONFIG_MAP, each.meta) for each in state.archives if each.digest != meant]
    body, live, made = build(owner, state.content, state.taken), state.mounted, []
    copy = next((archive for archive in state.archives if archive.digest == state.content.digest), None)
    if copy is None:
        made.append(Step("create", kinds.CONFIG_MAP, build_archive(owner, state.content, state.taken)))
    elif not copy.meta.owners:
        owned = owner.of_child(copy.meta.name) | {"uid": copy.meta.uid}
        made.append(Step("merge", kinds.CONFIG_MAP, {"metadata": owned}))
    if live is None:
        return [*made, Step("create", kinds.CONFIG_MAP, body)]
    if live.immutable:
        # Somebody sealed it, so it cannot be repaired but only replaced.
        return [*made, Step.delete(kinds.CONFIG_MAP, live.meta)]
    data: dict[str, str | None] = dict.fromkeys(live.keys) | body["binaryData"]
    patch = {"metadata": body["metadata"] | {"uid": live.meta.uid}, "binaryData": data, "data": None}
    return [*made, Step("merge", kinds.CONFIG_MAP, patch)]
