"""The project's images: what they are made of, and archives of them, built anew when that changes."""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from localkube import imagebuilder, ociarchive, pipconfig, rootfs
from localkube.console import Console, elapsed
from localkube.errors import LocalkubeError, UsageError
from localkube.locking import exclusive, scratch_directory
from localkube.paths import REPOSITORY, cache_root
from localkube.rootfs import Base

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_KEY = re.compile(r"[0-9a-f]{12}")
_KEPT = 2


@dataclass(frozen=True)
class Image:
    """One image. `inputs`: files and directories of the repository that decide its content."""

    name: str
    base: Base
    dockerfile: str
    inputs: tuple[str, ...]
    tag: str = "dev"
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def reference(self) -> str:
        """Name and tag, as pods write it."""
        return f"localhost/hipbmm/{self.name}:{self.tag}"


_OPERATOR_INPUTS = ("LICENSE", "requirements/operator.txt", "operator/hipbmm_operator", "kernel/hipbmm_kernel")

IMAGES = {
    "operator": Image("operator", rootfs.PYTHON, "Dockerfile", _OPERATOR_INPUTS),
    "simulator": Image("simulator", rootfs.TORCH, "dev/simulator/Dockerfile", ("dev/simulator",)),
}


def named(name: str, tag: str = "dev", arguments: Iterable[str] = ()) -> Image:
    """The image `name`, as a variant when a tag and build arguments (`KEY=VALUE`) are given."""
    if name not in IMAGES:
        raise UsageError(f"no image {name!r}; there are {', '.join(IMAGES)}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", tag):
        raise UsageError(f"{tag!r} is no tag: use a-z, 0-9, '.', '_' and '-'")
    pairs = [argument.partition("=") for argument in arguments]
    if any(not (key and equals) for key, equals, _ in pairs):
        raise UsageError("a build argument is KEY=VALUE")
    return replace(IMAGES[name], tag=tag, arguments=tuple((key, value) for key, _, value in pairs))


def archive(image: Image, console: Console, base_image: str | None = None, tool: str | None = None) -> Path:
    """The archive of `image`, built when its inputs have changed.

    `base_image` replaces the base made by debootstrap; `tool` is buildah, podman or docker.
    """
    base_name = base_image or image.base.image
    key = inputs_key(f"{base_name} {image.reference} {image.arguments}", _input_files(image))
    directory = cache_root() / "images"
    target = directory / f"{image.name}-{image.tag}-{key}.tar"
    if target.exists():
        target.touch()
        return target
    base = None if base_image else rootfs.archive(image.base, console)
    with exclusive(directory / f".{image.name}.lock", console, f"another process builds {image.name}; waiting for it"):
        if not target.exists():
            _build(image, base, base_name, imagebuilder.find(console, tool), target, console)
    _prune(directory, f"{image.name}-{image.tag}")
    return target


def content(image: Image) -> str:
    """Twelve hex that change with what goes into the image: its tag stays the same."""
    return inputs_key(image.reference, _input_files(image))


def inputs_key(variant: str, files: Iterable[tuple[str, bytes]]) -> str:
    """Twelve hex over what is built from what (base, name, arguments), and paths and contents of all inputs."""
    digest = hashlib.sha256(variant.encode())
    for name, content in files:
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _input_files(image: Image) -> Iterator[tuple[str, bytes]]:
    for entry in (image.dockerfile, ".dockerignore", *image.inputs):
        path = REPOSITORY / entry
        if not path.exists():
            raise LocalkubeError(f"{path} is missing: the image {image.name} cannot be built")
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                mode = "x" if os.access(file, os.X_OK) else "-"
                yield f"{mode}{file.relative_to(REPOSITORY)}", file.read_bytes()


def _build(
    image: Image, base: Path | None, base_name: str, builder: imagebuilder.Builder, target: Path, console: Console
) -> None:
    started = time.monotonic()
    console.line(f"building {image.reference} with {builder.tool}")
    with scratch_directory(target.parent / f".{image.name}.work") as scratch:
        if base is not None and not builder.knows(base_name):
            builder.run(builder.load_command(base))
        build = imagebuilder.Build(
            image=image.reference,
            dockerfile=REPOSITORY / image.dockerfile,
            context=REPOSITORY,
            base_image=base_name,
            arguments=dict(image.arguments),
            secrets=_secrets(scratch),
        )
        builder.run(builder.build_command(build))
        part = scratch / "image.tar"
        builder.run(builder.save_command(image.reference, part))
        ociarchive.names_and_digest(part)
        part.rename(target)
    size = target.stat().st_size / 2**20
    console.line(f"built {image.reference} ({size:.0f} MiB) in {elapsed(time.monotonic() - started)}")


def _secrets(scratch: Path) -> dict[str, Path]:
    """What pip needs on this machine; docker insists on files that exist."""
    pip = scratch / "pip.conf"
    pip.write_text(pipconfig.of_machine(os.environ), encoding="utf-8")
    bundle = next((path for path in (Path(os.environ.get("PIP_CERT", "/")), _CA_BUNDLE) if path.is_file()), None)
    return {"pip-conf": pip} | ({"ca": bundle} if bundle else {})


def _prune(directory: Path, prefix: str) -> None:
    """Keep the archives used last."""
    found = [path for path in directory.glob(f"{prefix}-*.tar") if _KEY.fullmatch(path.stem.removeprefix(f"{prefix}-"))]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)
