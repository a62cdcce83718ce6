"""The ControllerRevision that stores one rendered pod template, and the content of a spec that it was rendered for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.kube.metadata import Metadata, as_object
from hipbmm_operator.resources.placement import SHARED

_OUTSIDE_OF_PODS = ("replicas", "suspend", "service", "rollout")
_OUTSIDE_OF_PODS_CLAIM = ("storageClassName", "size", "retain")


@dataclass(frozen=True, slots=True)
class Revision:
    """A rendered template; `meta` is that of its ControllerRevision, without a uid when it is not stored yet."""

    name: str
    number: int
    contents: tuple[str, ...]
    template: Json
    meta: Metadata = field(default_factory=Metadata)


def build(owner: Metadata, revision: Revision) -> Json:
    """The ControllerRevision."""
    metadata = owner.of_child(revision.name)
    metadata["annotations"][names.ANNOTATION_CONTENT] = ",".join(revision.contents)
    return kinds.CONTROLLER_REVISION.body(metadata, revision=revision.number, data={"template": revision.template})


def content(resource: Resource) -> str:
    """Hash of what the user wrote that reaches pods: defaults are not in it, so changing one changes nothing here."""
    spec = {key: value for key, value in resource.raw_spec.items() if key not in _OUTSIDE_OF_PODS}
    cache = dict(as_object(spec.get("cache")))
    if isinstance(cache.get("pvc"), dict):
        cache["pvc"] = {key: value for key, value in cache["pvc"].items() if key not in _OUTSIDE_OF_PODS_CLAIM}
        if SHARED in (cache["pvc"].get("accessModes") or [SHARED]):
            # Only a volume that pods cannot share changes them: they get a mirror instead of it.
            cache["pvc"].pop("accessModes", None)
    spec["cache"] = cache
    roll_forward = str(resource.meta.annotations.get(names.ANNOTATION_ROLL_FORWARD, ""))
    return names.short_hash(canonical([_compact(spec), roll_forward]), 16)


def entry(base: str, config: str) -> str:
    """As a revision notes the content of a spec with the digest of the ConfigMaps that it refers to, "" for none."""
    return f"{base}.{config}" if config else base


def stored(base: str, config: str, revisions: Sequence[Revision], live: str = "") -> Revision | None:
    """The stored revision for this content: of several the one of the Deployment, `live`, else the newest.

    ConfigMaps that cannot be read now count as unchanged; so do those of a revision that was stored before anybody
    read them, by a former operator or because they could not be read.
    """
    of = [revision for revision in revisions if any(each.partition(".")[0] == base for each in revision.contents)]
    exact = [revision for revision in of if entry(base, config) in revision.contents]
    noted = any(each.startswith(f"{base}.") for revision in of for each in revision.contents)
    found = (exact or ([] if noted else of)) if config else of
    return max(found, key=lambda revision: (revision.name == live, revision.number), default=None)


def _compact(value: object) -> object:
    """Without empty objects and lists, which say nothing."""
    if isinstance(value, dict):
        compacted = {key: _compact(entry) for key, entry in value.items()}
        return {key: entry for key, entry in compacted.items() if entry not in ({}, [], None)}
    if isinstance(value, list):
        return [_compact(entry) for entry in value]
    return value
