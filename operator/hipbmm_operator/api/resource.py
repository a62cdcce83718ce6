"""One HipbmmDeployment as parsed from the API server. Raw bodies end here."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

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
    """A status as it is stored: what this operator cannot read of it counts as absent, of a long list what fits counts.

    So a status of a newer operator costs only what that one has changed.
    """
    try:
        return model.model_validate(UNSEEN | raw)
    except ValidationError as error:
        rest = _without(raw, error.errors(include_url=False))
    return readable(model, rest) if rest != raw else model.model_validate(UNSEEN)


def _without(raw: Json, errors: Iterable[ErrorDetails]) -> Json:
    """Without the innermost values that are wrong; an object that lacks something goes as a whole."""
    rest = deepcopy(raw)
    wrong = {_reached(raw, error["loc"]): error for error in errors}
    for place in sorted(filter(None, wrong), reverse=True):  # what is inside of a value first, and the last entries
        *way, last = place
        holder: Any = reduce(getitem, way, rest)
        if wrong[place]["type"] == "too_long" and isinstance(holder[last], list):
            del holder[last][wrong[place]["ctx"]["max_length"] :]
        else:
            del holder[last]
    return rest


def _reached(value: Any, place: Iterable[Any]) -> tuple[Any, ...]:  # noqa: ANN401  # any JSON
    """As far as a place leads: what is missing is not there, nor is a branch of a union."""
    way = []
    for part in place:
        if not (isinstance(value, dict) and part in value) and not (isinstance(value, list) and isinstance(part, int)):
            break
        value = value[part]
        way.append(part)
    return tuple(way)


def parse_spec(model: type[M], raw: Json) -> M | str:
    """The typed spec, or what is wrong with it (field and value), when an older or newer CRD let it through."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        return wrong_fields(error)
