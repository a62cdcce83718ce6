"""ConfigMaps and Secrets whose content pods read only when they start: a change reaches nothing that runs. Pure."""

from collections.abc import Mapping

from hipbmm_operator.api.common import KeySelector, NameRef
from hipbmm_operator.api.pod_template import EnvFrom
from hipbmm_operator.api.spec import Spec, TokenSecretRef
from hipbmm_operator.kube.kinds import CONFIG_MAP, SECRET, Kind

_Reference = NameRef | KeySelector | TokenSecretRef
Named = tuple[Kind, str]
"""An object, by kind and name."""
Keys = Mapping[Named, tuple[str, ...] | None]
"""The keys of objects; None of one that is not there. What was not read is not in it."""


def names(spec: Spec) -> tuple[Named, ...]:
    """Of the objects with the model's config.json, the token and variables, sorted; volumes change in place."""
    return tuple(sorted({(kind, reference.name) for kind, reference in _references(spec)}))


def lacking(spec: Spec, keys: Keys) -> bool:
    """Whether something without which no pod starts is not there."""
    return any(_lacks(each, keys[kind, each.name]) for kind, each in _references(spec) if (kind, each.name) in keys)


def _lacks(reference: _Reference, keys: tuple[str, ...] | None) -> bool:
    if isinstance(reference, NameRef):
        return keys is None
    return reference.key not in (keys or ()) and not (isinstance(reference, KeySelector) and reference.optional)


def given(spec: Spec, keys: Keys) -> frozenset[str]:
    """Names of the variables that `envFrom` makes of these keys."""
    found: set[str] = set()
    for each in _env_from(spec):
        for kind, reference in ((CONFIG_MAP, each.config_map_ref), (SECRET, each.secret_ref)):
            if reference is not None:
                found |= {f"{each.prefix or ''}{key}" for key in keys.get((kind, reference.name)) or ()}
    return frozenset(found)


def _references(spec: Spec) -> list[tuple[Kind, _Reference]]:
    sources = [entry.value_from for entry in spec.server.env if entry.value_from is not None]
    variables = _env_from(spec)
    maps = [spec.model.config_map_ref, *(s.config_map_key_ref for s in sources), *(e.config_map_ref for e in variables)]
    secrets = [spec.model.token_secret_ref, *(s.secret_key_ref for s in sources), *(e.secret_ref for e in variables)]
    found = ((CONFIG_MAP, maps), (SECRET, secrets))
    return [(kind, each) for kind, references in found for each in references if each is not None]


def _env_from(spec: Spec) -> list[EnvFrom]:
    return [each for container in spec.pod_template.spec.containers or [] for each in container.env_from or []]
