"""One HipbmmDeployment as parsed from the API server. Raw bodies end here."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from hipbmm_operator.api.fields import Model, wrong_fields
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.api.status import CacheStatus, Condition, Failure, ServiceStatus, StackReplicas, TuningStatus
from hipbmm_operator.kube import metadata, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, as_objects
from hipbmm_operator.kube.owner import Owner


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

    owner: Owner
    generation: int
    deleting: bool
    roll_forward: str
    raw_spec: Json
    raw_status: Json
    previous: Previous


def parse(body: Json) -> Resource:
    """A resource from its object; its spec is parsed by `parse_spec`."""
    meta, status = metadata.parse(body), as_object(body.get("status"))
    return Resource(
        owner=Owner(meta.namespace, meta.name, meta.uid),
        generation=meta.generation,
        deleting=meta.deleting,
        roll_forward=str(meta.annotations.get(names.ANNOTATION_ROLL_FORWARD, "")),
        raw_spec=as_object(body.get("spec")),
        raw_status=status,
        previous=parse_status(status),
    )


def parse_status(status: Json) -> Previous:
    """The parts of a stored status that the next one depends on."""
    conditions = (_read(Condition, entry) for entry in as_objects(status.get("conditions")))
    failures = (_read(Failure, entry) for entry in as_objects(status.get("failures")))
    stacks = (_read(StackReplicas, entry) for entry in as_objects(status.get("stacks")))
    return Previous(
        tuple(condition for condition in conditions if condition is not None),
        tuple(failure for failure in failures if failure is not None),
        _read(TuningStatus, status.get("tuning")),
        tuple(stack for stack in stacks if stack is not None),
        _read(ServiceStatus, status.get("service")),
        _read(CacheStatus, status.get("cache")),
    )


M = TypeVar("M", bound=Model)


def _read(model: type[M], raw: object) -> M | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def parse_spec(raw: Json) -> Spec | str:
    """The typed spec, or what is wrong with it (field and value), when an older or newer CRD let it through."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        return wrong_fields(error)
