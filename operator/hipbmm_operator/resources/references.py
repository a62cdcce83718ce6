"""ConfigMaps and Secrets whose content pods read only when they start: a change reaches nothing that runs. Pure."""

from collections.abc import Mapping

from hipbmm_operator.api.common import EnvSource, KeySelector, NameRef
from hipbmm_operator.api.pod_template import EnvFrom
from hipbmm_operator.api.spec import Spec, TokenSecretRef
from hipbmm_operator.kube import kinds

_Reference = NameRef | KeySelector | TokenSecretRef


def config_maps(spec: Spec) -> tuple[str, ...]:
    """Names of the ConfigMaps with the model's config.json and with variables; volumes change in place."""
    return tuple(sorted({reference.name for reference in _config_maps(spec)}))


def secrets(spec: Spec) -> tuple[str, ...]:
    """Names of the Secrets with variables, and with the token for Hugging Face."""
    return tuple(sorted({reference.name for reference in _secrets(spec)}))


def lacking(spec: Spec, keys: Mapping[tuple[str, str], tuple[str, ...] | None]) -> bool:
    """Whether something without which no pod starts is not there; `keys` are those of what was read, as for `given`."""
    needed = [(kinds.CONFIG_MAP.kind, each) for each in _config_maps(spec)]
    needed += [(kinds.SECRET.kind, each) for each in _secrets(spec)]
    return any(_lacks(each, keys[kind, each.name]) for kind, each in needed if (kind, each.name) in keys)


def _lacks(reference: _Reference, keys: tuple[str, ...] | None) -> bool:
    if isinstance(reference, NameRef):
        return keys is None
    return reference.key not in (keys or ()) and not (isinstance(reference, KeySelector) and reference.optional)


def given(spec: Spec, keys: Mapping[tuple[str, str], tuple[str, ...] | None]) -> frozenset[str]:
    """Names of the variables that `envFrom` makes of these keys, which are those of objects by kind and name."""
    found: set[str] = set()
    for each in _env_from(spec):
        for kind, reference in ((kinds.CONFIG_MAP, each.config_map_ref), (kinds.SECRET, each.secret_ref)):
            if reference is not None:
                found |= {f"{each.prefix or ''}{key}" for key in keys.get((kind.kind, reference.name)) or ()}
    return frozenset(found)


def _config_maps(spec: Spec) -> list[_Reference]:
    variables = (source.config_map_key_ref for source in _sources(spec))
    found = (spec.model.config_map_ref, *variables, *(each.config_map_ref for each in _env_from(spec)))
    return [reference for reference in found if reference is not None]


def _secrets(spec: Spec) -> list[_Reference]:
    variables = (source.secret_key_ref for source in _sources(spec))
    found = (spec.model.token_secret_ref, *variables, *(each.secret_ref for each in _env_from(spec)))
    return [reference for reference in found if reference is not None]


def _sources(spec: Spec) -> list[EnvSource]:
    return [entry.value_from for entry in spec.server.env if entry.value_from is not None]


def _env_from(spec: Spec) -> list[EnvFrom]:
    return [each for container in spec.pod_template.spec.containers or [] for each in container.env_from or []]
