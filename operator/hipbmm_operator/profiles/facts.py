"""A profile, and what was read of the cluster about it. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.api.profile_status import ProfileStatus
from hipbmm_operator.api.resource import parse_spec, readable
from hipbmm_operator.kube import metadata
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, as_object, object_at
from hipbmm_operator.pods.report import ServedFrom
from hipbmm_operator.profiles.pods import ForeignPod


@dataclass(frozen=True, slots=True)
class Profile:
    """A HipbmmProfile. `spec` is a text when it cannot be used: field, value and remedy."""

    meta: Metadata
    spec: ProfileSpec | str
    raw_status: Json
    previous: ProfileStatus


@dataclass(frozen=True, slots=True)
class Preflight:
    """What dry runs said. `refusal` is of the API server, about an injected pod; "" when there was none."""

    refusal: str = ""
    unknown: str = ""
    harvest: bool = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel program in the namespace; `problem` says why it cannot be used."""

    sha256: str = ""
    config_map: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """`by` is ours; `installations` are the names of all whose admission changes the same pods, ours too."""

    by: Literal["Policy", "Webhook", "None"] = "None"
    installations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is wrong is empty when all is well; of a claim that would keep pods waiting it is reason and message."""

    pods: tuple[ForeignPod, ...] = ()
    enabled: bool = True
    """Whether the namespace lets profiles choose pods by their labels."""
    at_work: frozenset[str] = frozenset()
    kernel: Kernel = Kernel()
    mirrors: tuple[str, ...] = ()
    mirror_problem: str = ""
    claim: tuple[str, str] = ("", "")
    env_files: bool = False
    admission: Admission = Admission()
    preflight: Preflight = field(default_factory=Preflight)
    rivals: tuple[str, ...] = ()
    served_from: Mapping[str, ServedFrom] = field(default_factory=dict)
    """By uid of the pod, what its server's processes serve from."""
    dropped: str = ""
    """A field of the status that the API server did not keep, or its own words about the status."""


def parse(body: Json) -> Profile:
    """A profile from its object."""
    status = as_object(body.get("status"))
    spec = parse_spec(ProfileSpec, as_object(body.get("spec")))
    if isinstance(spec, str):
        spec += ". Correct the field, or upgrade the operator if its CRD is newer"
    return Profile(metadata.parse(body), spec, raw_status=status, previous=readable(ProfileStatus, status))


def rivals(profile: Json, others: Mapping[str, Json]) -> tuple[str, ...]:
    """Names of profiles of the namespace that could choose the same pod by its labels; a suspended one chooses none."""
    mine = _labels(profile)
    if not mine:
        return ()
    return tuple(sorted(name for name, other in others.items() if _meet(mine, _labels(other))))


def _labels(profile: Json) -> Json:
    if object_at(profile, "spec").get("suspend") is True:
        return {}
    return object_at(profile, "spec", "match", "podLabels")


def _meet(one: Json, other: Json) -> bool:
    return bool(other) and all(one[key] == other[key] for key in one.keys() & other.keys())
