"""Programs that come from the distribution, and how to get them."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.machine import is_root
from localkube.node import CNI_PLUGINS

_SEARCH = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))

# Program, or file where it begins with a slash -> Debian package.
NODE = {
    "runc": "runc",
    f"{CNI_PLUGINS}/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
    "openssl": "openssl",
}
BASES = {
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "unshare": "util-linux",
}
BUILDER = {"buildah": "buildah"}


def find(program: str) -> str | None:
    """Path of a program, sbin included: it is not on the PATH of every root shell."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program) or shutil.which(program, path=_SEARCH)


def missing(needed: dict[str, str]) -> list[str]:
    """Debian packages of the programs that are not there."""
    return sorted({package for program, package in needed.items() if find(program) is None})


def ensure(needed: dict[str, str], console: Console) -> None:
    """Install what is missing when we are root on a Debian; else say what to install."""
    packages = missing(needed)
    if not packages:
        return
    names = " ".join(packages)
    if not is_root() or shutil.which("apt-get") is None:
        raise LocalkubeError(f"missing on this machine: {names} (Debian's package names); install them and try again")
    console.line(f"installing {names} with apt-get")
    # The lists may be missing or too old for the mirror: only then update, which takes its time.
    result = _install(packages)
    if result.returncode != 0:
        _apt(["update"])
        result = _install(packages)
    if result.returncode != 0:
        raise LocalkubeError(f"apt-get install {names} failed:\n{result.stderr.strip()}")
    still = missing(needed)
    if still:
        raise LocalkubeError(f"{' '.join(still)} installed, but their programs are not where they are expected")


def _install(packages: Iterable[str]) -> "subprocess.CompletedProcess[str]":
    return _apt(["install", "--yes", "--no-install-recommends", *packages])


def _apt(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments]
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
