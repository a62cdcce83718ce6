"""Field types of the custom resource: bounds, patterns and the Kubernetes extensions of their schemas."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

MAX_INT32 = 2_147_483_647
_MAX_ERRORS = 5


class Model(BaseModel):
    """Base of all models: camelCase outside, unknown fields ignored, immutable.

    A field without a description has the docstring of its model as such.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def body(self) -> dict[str, Any]:
        """As the API server has it, without None."""
        return self.model_dump(by_alias=True, exclude_none=True)


def wrong_fields(error: ValidationError) -> str:
    """What is wrong with a spec: field, cause and value of the first few errors."""
    parts = []
    for entry in error.errors(include_url=False)[:_MAX_ERRORS]:
        field = ".".join(str(part) for part in ("spec", *entry["loc"]))
        parts.append(f"{field}: {entry['msg']}, not {entry['input']!r:.100}")
    return "; ".join(parts)


def rule(expression: str, message: str, **more: str) -> dict[str, Any]:
    """Schema extension with one CEL rule. `message` is static text, or use `messageExpression=` to name the value."""
    return {"x-kubernetes-validations": [{"rule": expression, "message": message, **more}]}


def checked(expression: str, message: str, **more: str) -> ConfigDict:
    """`model_config` of a model with a rule across its fields."""
    return ConfigDict(json_schema_extra=rule(expression, message, **more))


def list_map(*keys: str) -> dict[str, Any]:
    """A list of objects that are told apart by these keys; duplicates are refused by the API server."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


T = TypeVar("T")
Atomic = Annotated[list[T], Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})]
"""A list that has one owner: server-side apply replaces it as a whole."""
Unique = Annotated[list[T], Field(json_schema_extra={"x-kubernetes-list-type": "set"})]
"""A list of values; duplicates are refused by the API server."""
ByName = Annotated[list[T], Field(json_schema_extra=list_map("name"))]
ByType = Annotated[list[T], Field(json_schema_extra=list_map("type"))]
ByReason = Annotated[list[T], Field(json_schema_extra=list_map("reason"))]
ByKey = Annotated[list[T], Field(json_schema_extra=list_map("key"))]
ByImage = Annotated[list[T], Field(json_schema_extra=list_map("image"))]
ByObject = Annotated[list[T], Field(json_schema_extra=list_map("kind", "name"))]
ByMountPath = Annotated[list[T], Field(json_schema_extra=list_map("mountPath"))]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
"""Name of an object in the CR's namespace."""
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^{_LABEL}$")]
"""Name of a container or of a volume."""
ConfigMapKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""Key of a ConfigMap or Secret."""
RelativePath = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^/\x00][^\x00]*$")]
"""Relative path without `..`, which `no_parent` refuses next to each use."""
AbsolutePath = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^/[^:\x00]*$")]
"""Absolute path inside a container."""
Image = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$",
    ),
]
"""Container image by tag or digest."""
EnvName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
"""Name of an environment variable."""
LabelKey = Annotated[
    str, Field(min_length=1, max_length=317, pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9][-A-Za-z0-9_.]{0,62}$")
]
"""Key of a label, an annotation or a taint."""
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
"""Value of a label."""
Port = Annotated[int, Field(ge=1, le=65535)]
"""TCP port."""
Quantity = Annotated[
    str | int,
    Field(
        union_mode="left_to_right",
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": r"^(\+)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$",
            "maxLength": 32,
        },
    ),
]
"""Kubernetes quantity such as `1Gi`."""

_KEY = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("no label has such a key")
    return text


LabelMap = Annotated[
    dict[Annotated[str, Field(max_length=317), AfterValidator(_key)], LabelValue],
    Field(max_length=64, json_schema_extra={"maxProperties": 64}),
]
"""Labels. A schema cannot say of which form keys are: a question for pods with one that is no key would be refused."""
TextMap = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=4096)]], Field(max_length=64)
]
"""Annotations."""

NO_PARENT = "!self.matches('(^|/)[.][.](/|$)')"


def no_parent(field: str) -> dict[str, Any]:
    """The rule that a path has no part `..`."""
    return rule(NO_PARENT, f"{field} must not contain '..'")


ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z0-9/][A-Za-z0-9._/-]*$",
        json_schema_extra=rule(
            NO_PARENT, "name must not contain '..'", messageExpression="'model name must not contain \"..\": ' + self"
        ),
    ),
]
"""A Hugging Face id, or a path."""
