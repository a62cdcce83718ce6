"""Objects that several parts of the resource use."""

from typing import Annotated

from pydantic import Field

from hipbmm_operator.api.fields import ConfigMapKey, EnvName, Model, ObjectName, Quantity, checked


class NameRef(Model):
    """A named object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the namespace of the HipbmmDeployment.")


class KeySelector(Model):
    """One key of a ConfigMap or Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap or Secret.")
    key: ConfigMapKey = Field(description="Key in the ConfigMap or Secret.")
    optional: bool | None = Field(None, description="Start the container even when the key is missing.")


class FieldRef(Model):
    """A field of the pod."""

    api_version: Annotated[str, Field(max_length=16)] | None = Field(None, description="API version of the path.")
    field_path: str = Field(
        min_length=1, max_length=512, description="Path of the pod's field, such as `status.podIP`."
    )


class ResourceRef(Model):
    """A resource of a container."""

    container_name: Annotated[str, Field(max_length=63)] | None = Field(None, description="The container.")
    resource: str = Field(min_length=1, max_length=253, description="The resource, such as `limits.memory`.")
    divisor: Quantity | None = Field(None, description="Unit of the result.")


class EnvSource(Model):
    """Where the value of a variable comes from."""

    model_config = checked(
        "(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0)"
        " + (has(self.fieldRef) ? 1 : 0) + (has(self.resourceFieldRef) ? 1 : 0) == 1",
        "valueFrom must have exactly one source",
    )

    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceRef | None = Field(None, description="A resource limit or request of a container.")


class EnvVar(Model):
    """One environment variable."""

    model_config = checked(
        "!(has(self.value) && has(self.valueFrom))",
        "value and valueFrom must not both be set",
        messageExpression="'variable ' + self.name + ' must not have both value and valueFrom'",
    )

    name: EnvName = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=32768)] | None = Field(None, description="Value of the variable.")
    value_from: EnvSource | None = Field(None, description="Where the value comes from, instead of `value`.")


class ClaimRef(Model):
    """A PersistentVolumeClaim in the same namespace."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim.")
