"""Volumes of the pods and their mounts. A mount of the user's takes the place of the operator's own."""

import posixpath
from collections.abc import Iterator

from hipbmm_operator.api.pod_template import VolumeMount
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.resources.placement import Placement

SHARED_MEMORY = "/dev/shm"  # noqa: S108  # of the tensor-parallel workers
_TEMPORARY = "/tmp"  # noqa: S108  # of compilers, which fall back to nothing else


def of_pod(name: str, spec: Spec, place: Placement) -> list[Json]:
    """The volumes of the contract, then the user's."""
    store: Json = {"persistentVolumeClaim": {"claimName": place.claim}} if place.claim else {"emptyDir": {}}
    volumes: list[Json] = [
        {"name": "hipbmm", "emptyDir": {}},
        {"name": "cache", "emptyDir": {}},
        *_scratch(spec),
        {"name": "store", **store},
    ]
    if place.mirror:
        # Optional: before the first row is tuned there is none. Its name never changes, so its content restarts no pod.
        volumes.append({"name": "mirror", "configMap": {"name": names.mirror(name), "optional": True}})
    if spec.model.config_map_ref:
        volumes.append({"name": "model-config", "configMap": {"name": spec.model.config_map_ref.name}})
    if spec.model.volume:
        reference = {"claimName": spec.model.volume.claim_name, "readOnly": True}
        volumes.append({"name": "models", "persistentVolumeClaim": reference})
    users = spec.pod_template.spec.volumes or []
    return [*volumes, *(volume.body() for volume in users)]


def of_warm(spec: Spec, place: Placement) -> list[Json]:
    """Mounts of `warm`: those of the server, the mirror, and a store that can be written to."""
    mirror = [{"name": "mirror", "mountPath": contract.MIRROR, "readOnly": True}] if place.mirror else []
    return [*mirror, *_of_serving(spec, {"name": "store", "mountPath": contract.STORE})]


def of_server(spec: Spec) -> list[Json]:
    """Mounts of `server`, which only reads the store."""
    return _of_serving(spec, {"name": "store", "mountPath": contract.STORE, "readOnly": True})


def of_harvest() -> list[Json]:
    """Mounts of `harvest`."""
    return [
        {"name": "hipbmm", "mountPath": contract.HOME},
        {"name": "cache", "mountPath": contract.CACHE},
        {"name": "store", "mountPath": contract.STORE},
    ]


def conflicts(spec: Spec) -> Iterator[str]:
    """Mounts of the user's that cannot be made; a message each, which names field and value."""
    field = "spec.podTemplate.spec.containers[server].volumeMounts"
    known = {volume.name for volume in spec.pod_template.spec.volumes or []}
    seen: set[str] = set()
    for mount in _users(spec):
        if mount.name not in known:
            yield f"{field}: volume {mount.name!r} must be one of spec.podTemplate.spec.volumes"
        path = normal(mount.mount_path)
        if path in ("/", contract.HOME) or path.startswith(f"{contract.HOME}/"):
            yield f"{field}: mountPath {mount.mount_path!r} must not be / or inside {contract.HOME}"
        elif path in seen:
            yield f"{field}: mountPath {mount.mount_path!r} is there twice"
        elif path == contract.MODELS and spec.model.volume:
            yield f"{field}: mountPath {mount.mount_path!r} is where spec.model.volume is mounted"
        elif path == SHARED_MEMORY and "shm_size" in spec.server.model_fields_set:
            yield f"{field}: mountPath {mount.mount_path!r} leaves spec.server.shmSize without effect; give one of them"
        seen.add(path)


def normal(path: str) -> str:
    """An absolute path without double slashes, dots and a slash at its end."""
    return "/" + posixpath.normpath(path).lstrip("/")


def users_paths(spec: Spec) -> list[str]:
    """Where the user mounts volumes, in order."""
    return [normal(mount.mount_path) for mount in _users(spec)]


def read_only_paths(spec: Spec) -> frozenset[str]:
    """Of these, where nobody can write: the mount is read-only, or its volume."""
    fixed = {
        volume.name
        for volume in spec.pod_template.spec.volumes or []
        if volume.config_map
        or volume.secret
        or (volume.persistent_volume_claim and volume.persistent_volume_claim.read_only)
    }
    return frozenset(normal(mount.mount_path) for mount in _users(spec) if mount.read_only or mount.name in fixed)


def _users(spec: Spec) -> list[VolumeMount]:
    return spec.pod_template.spec.container(contract.SERVER).volume_mounts or []


def _scratch(spec: Spec) -> list[Json]:
    """Shared memory, and a directory for temporary files where the image's own cannot be written to."""
    taken = users_paths(spec)
    found: list[Json] = []
    if SHARED_MEMORY not in taken:
        found.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(spec.server.shm_size)}})
    context = spec.pod_template.spec.container(contract.SERVER).security_context
    if context and context.read_only_root_filesystem and _TEMPORARY not in taken:
        found.append({"name": "hipbmm-tmp", "emptyDir": {}})
    return found


def _of_serving(spec: Spec, store: Json) -> list[Json]:
    paths = {"shm": SHARED_MEMORY, "hipbmm-tmp": _TEMPORARY}
    mounts: list[Json] = [
        {"name": "hipbmm", "mountPath": contract.HOME},
        {"name": "cache", "mountPath": contract.CACHE},
        *({"name": volume["name"], "mountPath": paths[volume["name"]]} for volume in _scratch(spec)),
        store,
    ]
    if spec.model.config_map_ref:
        mounts.append({"name": "model-config", "mountPath": contract.MODEL_CONFIG_DIR, "readOnly": True})
    if spec.model.volume:
        sub_path = {"subPath": spec.model.volume.sub_path} if spec.model.volume.sub_path else {}
        mounts.append({"name": "models", "mountPath": contract.MODELS, "readOnly": True, **sub_path})
    return [*mounts, *(mount.body() for mount in _users(spec))]
