"""One HipbmmDeployment as parsed from the API server. Raw bodies end here."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from hipbmm_operator.api.fields import Model, wrong_fields
from hipbmm_operator.api.status import UNSEEN, Status
from hipbmm_operator.kube import metadata
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, as_object

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Resource:
    """A HipbmmDeployment. `raw_status` is opaque: the status writer compares the next status with it."""

    meta: Metadata
    raw_spec: Json
    raw_status: Json
    previous: Status


def parse(body: Json) -> Resource:
    """A resource from its object; its spec is parsed by `parse_spec`."""
    status = as_object(body.get("status"))
    return Resource(metadata.parse(body), as_object(body.get("spec")), status, previous=readable(Status, status))


def readable(model: type[M], raw: Json) -> M:
    """A status as it is stored; a field, or an entry of a list, that this operator cannot read counts as absent."""
    try:
        return model.model_validate(UNSEEN | raw)
    except ValidationError as error:
        wrong = {entry["loc"][:2] for entry in error.errors()}
    lists = {
        field: [entry for place, entry in enumerate(value) if (field, place) not in wrong]
        for field, value in raw.items()
        if isinstance(value, list) and (field,) not in wrong
    }
    refused = {field for field, *_ in wrong}
    others = {field: value for field, value in raw.items() if field not in refused}
    return model.model_validate(UNSEEN | others | lists)


def parse_spec(model: type[M], raw: Json) -> M | str:
    """The typed spec, or what is wrong with it (field and value), when an older or newer CRD let it through."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        return wrong_fields(error)
