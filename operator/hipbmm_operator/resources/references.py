"""ConfigMaps and Secrets whose content pods read only when they start: a change reaches nothing that runs. Pure."""

from collections.abc import Iterator

from hipbmm_operator.api.spec import Spec


def config_maps(spec: Spec) -> tuple[str, ...]:
    """Names of the ConfigMaps with the model's config.json and with variables; volumes change in place."""
    return tuple(sorted(set(_config_maps(spec))))


def secrets(spec: Spec) -> tuple[str, ...]:
    """Names of the Secrets with variables, and with the token for Hugging Face."""
    return tuple(sorted(set(_secrets(spec))))


def _config_maps(spec: Spec) -> Iterator[str]:
    if spec.model.config_map_ref is not None:
        yield spec.model.config_map_ref.name
    for entry in spec.server.env:
        if entry.value_from is not None and entry.value_from.config_map_key_ref is not None:
            yield entry.value_from.config_map_key_ref.name
    for container in spec.pod_template.spec.containers or []:
        yield from (each.config_map_ref.name for each in container.env_from or [] if each.config_map_ref is not None)


def _secrets(spec: Spec) -> Iterator[str]:
    if spec.model.token_secret_ref is not None:
        yield spec.model.token_secret_ref.name
    for entry in spec.server.env:
        if entry.value_from is not None and entry.value_from.secret_key_ref is not None:
            yield entry.value_from.secret_key_ref.name
    for container in spec.pod_template.spec.containers or []:
        yield from (each.secret_ref.name for each in container.env_from or [] if each.secret_ref is not None)
