"""Settings of the operator: each timing, limit and image, from environment variables. Only this reads `os.environ`."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _env(variable: str, default: Any, text: str) -> Any:  # noqa: ANN401  # dataclasses.field is typed as the field's own type
    return field(default=default, metadata={"env": variable, "text": text})


class SettingsError(ValueError):
    """An environment variable has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the process runs with. All times in seconds."""

    namespaces: tuple[str, ...] = _env("HIPBMM_NAMESPACES", (), "comma-separated namespaces to serve; empty: all")
    namespace: str = _env("HIPBMM_OPERATOR_NAMESPACE", "default", "the operator's own namespace, where its Lease is")
    identity: str = _env("HIPBMM_IDENTITY", "", "holder of the Lease; the pod's name, else host and process id")
    lease_name: str = _env("HIPBMM_LEASE_NAME", "hipbmm-operator", "name of the Lease")
    lease_seconds: float = _env("HIPBMM_LEASE_SECONDS", 30.0, "the Lease of a holder silent for so long may be taken")
    lease_renew_seconds: float = _env("HIPBMM_LEASE_RENEW_SECONDS", 5.0, "interval of renewal")
    lease_deadline_seconds: float = _env(
        "HIPBMM_LEASE_DEADLINE_SECONDS", 15.0, "nothing is written when the last renewal is older"
    )
    payload_image: str = _env("HIPBMM_PAYLOAD_IMAGE", "hipbmm-operator:latest", "image of the init container `payload`")
    payload_pull_policy: str = _env("HIPBMM_PAYLOAD_PULL_POLICY", "IfNotPresent", "its pull policy")
    workers: int = _env("HIPBMM_WORKERS", 32, "reconciles at the same time")
    resync_seconds: float = _env("HIPBMM_RESYNC_SECONDS", 600.0, "interval of listing and reconciling everything")
    request_seconds: float = _env("HIPBMM_REQUEST_SECONDS", 10.0, "deadline of one API request")
    backoff_seconds: float = _env("HIPBMM_BACKOFF_SECONDS", 1.0, "first retry of a failed reconcile, at most")
    backoff_max_seconds: float = _env("HIPBMM_BACKOFF_MAX_SECONDS", 60.0, "longest wait between retries")
    progress_seconds: float = _env("HIPBMM_PROGRESS_SECONDS", 5.0, "interval of reading the log of a running `warm`")
    debounce_seconds: float = _env(
        "HIPBMM_DEBOUNCE_SECONDS", 2.0, "events of a resource's children in this window are one reconcile and status"
    )
    crd_seconds: float = _env("HIPBMM_CRD_SECONDS", 60.0, "interval of trying again a status that an older CRD cuts")
    watch_seconds: float = _env("HIPBMM_WATCH_SECONDS", 120.0, "life of one watch request")
    watch_stale_seconds: float = _env(
        "HIPBMM_WATCH_STALE_SECONDS", 180.0, "/healthz fails when a watch has had no answer for so long"
    )
    rights_seconds: float = _env("HIPBMM_RIGHTS_SECONDS", 30.0, "interval of checking the rights to list and watch")
    page_size: int = _env("HIPBMM_PAGE_SIZE", 40, "objects per page of a list")
    injection_name: str = _env(
        "HIPBMM_INJECTION_NAME",
        "",
        "prefix of the names of the admission objects; empty: no HipbmmProfile is served",
    )
    injection_seconds: float = _env("HIPBMM_INJECTION_SECONDS", 2.0, "interval of listing HipbmmProfiles")
    kernel_zip: str = _env(
        "HIPBMM_KERNEL_ZIP", "/opt/hipbmm/app/hipbmm_kernel.zip", "the kernel program that injected pods get"
    )
    webhook_port: int = _env("HIPBMM_WEBHOOK_PORT", 0, "admission of pods, for clusters without the policy; 0: none")
    webhook_secret: str = _env(
        "HIPBMM_WEBHOOK_SECRET", "", "Secret for a certificate that the operator makes; its Service has the same name"
    )
    webhook_certificates: str = _env(
        "HIPBMM_WEBHOOK_CERTIFICATES", "", "folder with tls.crt and tls.key that somebody else makes"
    )
    http_port: int = _env("HIPBMM_HTTP_PORT", 8080, "/metrics, /healthz and /readyz; 0: any free port")
    log_level: str = _env("HIPBMM_LOG_LEVEL", "info", "debug, info, warning or error")
    log_format: str = _env("HIPBMM_LOG_FORMAT", "json", "json or text")
    proxy: str = _env("HTTPS_PROXY", "", "proxy to the API server; NO_PROXY is honoured")
    kubeconfig: str = _env("KUBECONFIG", "", "path; empty: in-cluster service account")

    def __post_init__(self) -> None:
        if not self.request_seconds + self.lease_deadline_seconds < self.lease_seconds:
            # A write that starts just before the deadline must end before somebody else may hold the Lease.
            raise SettingsError("HIPBMM_LEASE_DEADLINE_SECONDS + HIPBMM_REQUEST_SECONDS must be < HIPBMM_LEASE_SECONDS")
        if not self.watch_seconds < self.watch_stale_seconds:
            raise SettingsError("HIPBMM_WATCH_SECONDS must be < HIPBMM_WATCH_STALE_SECONDS")


def parse(environ: Mapping[str, str]) -> Settings:
    """Settings from a mapping; raises SettingsError with the variable's name and value."""
    values: dict[str, Any] = {}
    for entry in fields(Settings):
        variable = entry.metadata["env"]
        text = environ.get(variable, "") or environ.get(variable.lower(), "")
        if text:
            values[entry.name] = _convert(variable, text, entry.default)
    return Settings(**values)


def _convert(variable: str, text: str, default: object) -> object:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, str):
        return text
    try:
        value = type(default)(text)  # type: ignore[call-arg]  # int or float by the field's default
    except ValueError:
        raise SettingsError(f"{variable} must be a number, not {text!r}") from None
    if value < 0:  # type: ignore[operator]  # int or float
        raise SettingsError(f"{variable} must not be negative, not {text!r}")
    return value


def load() -> Settings:
    """Settings of this process."""
    settings = parse(os.environ)
    if settings.identity:
        return settings
    return parse({**os.environ, "HIPBMM_IDENTITY": f"{socket.gethostname()}-{os.getpid()}"})


def described() -> str:
    """Every setting, one per line: variable, default, meaning."""
    rows = [(entry.metadata["env"], _shown(entry.default), entry.metadata["text"]) for entry in fields(Settings)]
    return "".join(f"{variable:<32} {default:<24} {text}\n" for variable, default, text in rows)


def _shown(default: object) -> str:
    return "-" if default in ("", ()) else str(default)
