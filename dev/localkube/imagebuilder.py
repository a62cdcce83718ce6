"""One interface to buildah, podman and docker, whichever is there."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localkube import packages
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.machine import is_root

TOOLS = ("buildah", "podman", "docker")


@dataclass(frozen=True)
class Build:
    """One image to be built. `secrets`: build secrets by id, each a file; they leave no trace in the image."""

    image: str
    dockerfile: Path
    context: Path
    base_image: str
    arguments: dict[str, str]
    secrets: dict[str, Path]


@dataclass(frozen=True)
class Builder:
    """The commands of one tool. Rendering is pure, `run` is not."""

    tool: str

    def known_command(self, image: str) -> list[str]:
        """Succeeds when the tool has `image` already."""
        if self.tool == "docker":
            return ["docker", "image", "inspect", image]
        kind = ["inspect", "--type", "image"] if self.tool == "buildah" else ["image", "inspect"]
        return [self.tool, *kind, image]

    def knows(self, image: str) -> bool:
        """Whether the tool has `image`."""
        return subprocess.run(self.known_command(image), capture_output=True, check=False).returncode == 0

    def load_command(self, archive: Path) -> list[str]:
        """Make the image of an archive known to the tool."""
        if self.tool == "buildah":
            return ["buildah", "pull", "--quiet", f"oci-archive:{archive}"]
        return [self.tool, "load", "--quiet", "--input", str(archive)]

    def build_command(self, build: Build) -> list[str]:
        """Build `build` from what is on this machine; nothing is pulled unless the base image is only in a registry."""
        command = [self.tool, "build", "--network", "host"]
        if self.tool == "buildah":
            # chroot needs neither a user namespace nor cgroups, so that it works inside a container as well.
            command += ["--isolation", "chroot"]
        if self.tool != "docker":
            command += ["--layers", "--pull=false", "--format", "oci"]
        for name, value in {"BASE_IMAGE": build.base_image, **build.arguments}.items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in build.secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        return [*command, "--tag", build.image, "--file", str(build.dockerfile), str(build.context)]

    def save_command(self, image: str, archive: Path) -> list[str]:
        """Write the image as an archive that containerd reads."""
        if self.tool == "buildah":
            return ["buildah", "push", "--quiet", image, f"oci-archive:{archive}:{image}"]
        form = ["--format", "oci-archive"] if self.tool == "podman" else []
        return [self.tool, "save", *form, "--output", str(archive), image]

    def environment(self, env: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Secrets of docker need BuildKit."""
        return {**env, "DOCKER_BUILDKIT": "1"}

    def run(self, command: list[str]) -> str:
        """Run one of the above; its output, or an error that ends with it."""
        result = subprocess.run(
            command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            tail = "\n".join(result.stdout.splitlines()[-30:])
            raise LocalkubeError(f"{' '.join(command[:2])} failed:\n{tail}")
        return result.stdout


def find(console: Console, wanted: str | None = None) -> Builder:
    """The tool to use: the wanted one, else the first that works, else buildah from the distribution."""
    for tool in [wanted] if wanted else TOOLS:
        if works(tool):
            return Builder(tool)
    if wanted not in {None, "buildah"}:
        raise LocalkubeError(f"{wanted} is not there or does not answer")
    if not is_root():
        raise LocalkubeError("no image builder: install one of buildah, podman and docker")
    packages.ensure(packages.BUILDER, console)
    return Builder("buildah")


def works(tool: str) -> bool:
    """Whether the tool is there; docker's daemon must answer too."""
    if shutil.which(tool) is None:
        return False
    if tool != "docker":
        return True
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
