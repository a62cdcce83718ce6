"""One HipbmmDeployment as parsed from the API server. Raw bodies end here."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from hipbmm_operator.api.fields import Model, wrong_fields
from hipbmm_operator.api.status import CacheStatus, Condition, Failure, ServiceStatus, StackReplicas, TuningStatus
from hipbmm_operator.kube import metadata
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, as_object, as_objects

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Previous:
    """What the last status said. An entry that this operator cannot read counts as absent."""

    conditions: tuple[Condition, ...] = ()
    failures: tuple[Failure, ...] = ()
    tuning: TuningStatus | None = None
    stacks: tuple[StackReplicas, ...] = ()
    service: ServiceStatus | None = None
    cache: CacheStatus | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A HipbmmDeployment. `raw_status` is opaque: the status writer compares the next status with it."""

    meta: Metadata
    raw_spec: Json
    raw_status: Json
    previous: Previous


def parse(body: Json) -> Resource:
    """A resource from its object; its spec is parsed by `parse_spec`."""
    status = as_object(body.get("status"))
    return Resource(metadata.parse(body), as_object(body.get("spec")), status, previous=parse_status(status))


def parse_status(status: Json) -> Previous:
    """The parts of a stored status that the next one depends on."""
    return Previous(
        _all(Condition, status.get("conditions")),
        _all(Failure, status.get("failures")),
        readable(TuningStatus, status.get("tuning")),
        _all(StackReplicas, status.get("stacks")),
        readable(ServiceStatus, status.get("service")),
        readable(CacheStatus, status.get("cache")),
    )


def readable(model: type[M], raw: object) -> M | None:
    """What a former operator has stored; None when this one cannot read it."""
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _all(model: type[M], raw: object) -> tuple[M, ...]:
    found = (readable(model, entry) for entry in as_objects(raw))
    return tuple(entry for entry in found if entry is not None)


def parse_spec(model: type[M], raw: Json) -> M | str:
    """The typed spec, or what is wrong with it (field and value), when an older or newer CRD let it through."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        return wrong_fields(error)
