"""Images as files: one tar that is an OCI layout and a `docker load` archive at once, so that every tool reads it."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_BLOCK = 1 << 20
_EPOCH = "1970-01-01T00:00:00Z"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"

# GOARCH by what uname says.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Runtime:
    """The part of the image's config that containers see, and its architecture (`amd64`)."""

    architecture: str
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    env: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """As the OCI image specification has it."""
        value: dict[str, Any] = {"Env": list(self.env), "Labels": self.labels}
        if self.entrypoint:
            value["Entrypoint"] = list(self.entrypoint)
        if self.user:
            value["User"] = self.user
        return value


def write(archive: Path, name: str, layer: Path, runtime: Runtime) -> str:
    """Pack one uncompressed layer as the image `name` (with tag). Returns the manifest's digest.

    The same input gives the same bytes. The archive appears by a rename.
    """
    layer_digest, layer_size = _sha256(layer)
    config = _json(
        {
            "created": _EPOCH,
            "architecture": runtime.architecture,
            "os": "linux",
            "config": runtime.config(),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [{"created": _EPOCH, "created_by": "localkube"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [{"mediaType": _LAYER, "digest": f"sha256:{layer_digest}", "size": layer_size}],
        }
    )
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    entry = {**_descriptor(_MANIFEST, manifest), "annotations": annotations}
    docker = [{"Config": _blob(config), "RepoTags": [name], "Layers": [f"blobs/sha256/{layer_digest}"]}]
    scratch = archive.with_suffix(".part")
    with tarfile.open(scratch, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        _add(tar, "manifest.json", _json(docker))
        _add(tar, _blob(config), config)
        _add(tar, _blob(manifest), manifest)
        info = _nameless(tarfile.TarInfo(f"blobs/sha256/{layer_digest}"))
        info.size = layer_size
        with layer.open("rb") as stream:
            tar.addfile(info, stream)
    scratch.replace(archive)
    return str(entry["digest"])


def write_layer(layer: Path, root: Path, skip: Callable[[str], bool]) -> None:
    """Pack the tree `root` in sorted order; `skip` gets each path relative to it, a directory before what is in it.

    Times stay: Python compares them with those noted in the byte code.
    """
    with tarfile.open(layer, "w") as tar:
        _add_tree(tar, root, "", skip)


def extract_layer(archive: Path, root: Path) -> None:
    """Unpack the only layer of an archive of `write`, with owners and devices as root."""
    with tarfile.open(archive) as tar:
        docker = json.load(_member(tar, "manifest.json"))
        (layer,) = docker[0]["Layers"]
        with tarfile.open(fileobj=_member(tar, layer)) as content:
            content.extractall(root, filter="fully_trusted")  # noqa: S202 - our own archive


def single_file_layer(layer: Path, name: str, content: bytes) -> None:
    """A layer with one executable file."""
    with tarfile.open(layer, "w") as tar:
        _add(tar, name, content, mode=0o755)


def names_and_digest(archive: Path) -> tuple[list[str], str]:
    """The names in an image archive and the digest of its (first) manifest; raises ValueError when it is none.

    `docker save` before version 25 writes no OCI index: the digest, which only the import decides, is empty then.
    """
    try:
        with tarfile.open(archive) as tar:
            members = tar.getnames()
            if "index.json" in members:
                return _of_index(json.load(_member(tar, "index.json")))
            docker = json.load(_member(tar, "manifest.json"))
    except (KeyError, IndexError, tarfile.TarError, ValueError) as error:
        raise ValueError(f"{archive} is not an image archive: {error}") from error
    return sorted(name for entry in docker for name in entry.get("RepoTags") or ()), ""


def _of_index(index: dict[str, Any]) -> tuple[list[str], str]:
    names = []
    for entry in index["manifests"]:
        annotations = entry.get("annotations", {})
        # docker writes the whole name under containerd's key and the mere tag under OCI's; others only the latter.
        names.append(
            annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name")
        )
    return sorted(filter(None, names)), str(index["manifests"][0]["digest"])


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _add_tree(tar: tarfile.TarFile, directory: Path, prefix: str, skip: Callable[[str], bool]) -> None:
    for path in sorted(directory.iterdir()):
        name = f"{prefix}{path.name}"
        if skip(name):
            continue
        info = tar.gettarinfo(str(path), arcname=name)
        # gettarinfo gives None for sockets, which an image cannot hold.
        if info is None:
            continue
        if info.isreg():
            with path.open("rb") as stream:
                tar.addfile(_nameless(info), stream)
        else:
            tar.addfile(_nameless(info))
        if info.isdir():
            _add_tree(tar, path, f"{name}/", skip)


def _nameless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Numbers count in an image; the names are this machine's."""
    info.uname = info.gname = ""
    return info


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    info = _nameless(tarfile.TarInfo(name))
    info.size = len(content)
    info.mode = mode
    tar.addfile(info, io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _blob(content: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def _sha256(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest(), path.stat().st_size
