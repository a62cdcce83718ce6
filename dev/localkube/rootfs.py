"""Base images: Debian root file systems made by debootstrap, packed as archives, once for each set of inputs."""

import hashlib
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from localkube import aptsources, ociarchive, packages
from localkube.console import Console, elapsed
from localkube.errors import LocalkubeError
from localkube.locking import exclusive, scratch_directory
from localkube.machine import is_root
from localkube.paths import cache_root

RELEASE = "trixie"
_VARIANT = "minbase"

# Nothing of this is read at run time, or it belongs to this machine. Byte code stays: it would be compiled at each
# start of a read-only container.
_STRIPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/include",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "debootstrap",
)
# These directories stay, empty.
_EMPTIED = ("var/log/", "dev/", "proc/", "sys/", "run/", "tmp/")
_STRIPPED_SUFFIXES = (".a", ".la")


@dataclass(frozen=True)
class Base:
    """One base image: its name, the base that it extends, and the packages that it adds."""

    name: str
    include: tuple[str, ...]
    parent: "Base | None" = None

    @property
    def key(self) -> str:
        """Twelve hex over all that decides the content, the archive's own state aside."""
        inputs = (RELEASE, _VARIANT, self.include, _STRIPPED, _EMPTIED, _STRIPPED_SUFFIXES, platform.machine())
        above = self.parent.key if self.parent else ""
        return hashlib.sha256(repr((inputs, above)).encode()).hexdigest()[:12]

    @property
    def image(self) -> str:
        """Name and tag."""
        return f"localhost/hipbmm/base-{self.name}:{self.key}"


PYTHON = Base("python", ("python3", "python3-venv", "ca-certificates"))
# Without OpenBLAS, torch multiplies with the reference BLAS: a hundred times slower.
TORCH = Base("torch", ("python3-torch", "libopenblas0-pthread", "python3-grpcio", "python3-protobuf"), PYTHON)


def archive(base: Base, console: Console) -> Path:
    """The image archive of `base`; made when missing. Needs root, for it sets owners and runs package scripts."""
    images = cache_root() / "images"
    target = images / f"base-{base.name}-{base.key}.tar"
    if target.exists():
        return target
    if not is_root():
        raise LocalkubeError(
            f"the base image {base.name} is made by debootstrap, which needs root; "
            "or pass --base-image with an image that has Python 3"
        )
    packages.ensure(packages.BASES, console)
    parent = archive(base.parent, console) if base.parent else None
    with exclusive(images / ".debootstrap.lock", console, "another process makes a base image; waiting for it"):
        if not target.exists():
            _make(base, parent, target, console)
    return target


def strips(name: str) -> bool:
    """Whether the path `name` (relative to the root) is left out of the image."""
    return name in _STRIPPED or name.startswith(_EMPTIED) or name.endswith(_STRIPPED_SUFFIXES)


def _make(base: Base, parent: Path | None, target: Path, console: Console) -> None:
    started = time.monotonic()
    mirror = aptsources.mirror(RELEASE)
    console.line(f"making the base image {base.name}: Debian {RELEASE} with {', '.join(base.include)}")
    with scratch_directory(target.parent / f".base-{base.name}.work") as scratch:
        root = scratch / "root"
        if parent is None:
            command = debootstrap_command(base, root, mirror)
        else:
            ociarchive.extract_layer(parent, root)
            _furnish(root, mirror)
            command = extend_command(base, root)
        _run(command, f"making the base image {base.name}", scratch / "output.log", console)
        layer = scratch / "layer.tar"
        ociarchive.write_layer(layer, root, strips)
        # The tree is no longer needed, and the archive is as large again.
        shutil.rmtree(root)
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        architecture = ociarchive.ARCHITECTURES.get(platform.machine(), platform.machine())
        ociarchive.write(target, base.image, layer, ociarchive.Runtime(architecture, env=(path, "LANG=C.UTF-8")))
    size = target.stat().st_size / 2**20
    console.line(f"made the base image {base.name} ({size:.0f} MiB) in {elapsed(time.monotonic() - started)}")


# Own mount and pid namespaces: an interrupted run leaves no process, and no mount below a tree that is to be removed.
_APART = ("unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child=SIGKILL")


def debootstrap_command(base: Base, root: Path, mirror: str) -> list[str]:
    """A root file system from nothing."""
    program = packages.find("debootstrap") or "debootstrap"
    include = f"--include={','.join(base.include)}"
    return [*_APART, program, f"--variant={_VARIANT}", include, RELEASE, str(root), mirror]


# apt inside the tree: debootstrap's own resolver fails on versioned and virtual dependencies of larger packages.
_EXTEND = """set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial" "$root/var/log/apt"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get --quiet update
exec chroot "$root" apt-get --quiet --yes --no-install-recommends install "$@"
"""


def extend_command(base: Base, root: Path) -> list[str]:
    """Add packages to the tree of the parent."""
    return [*_APART, "sh", "-c", _EXTEND, "sh", str(root), *base.include]


def _furnish(root: Path, mirror: str) -> None:
    """What apt needs and the image leaves out: where to fetch from, and by which name servers."""
    sources = f"deb {mirror} {RELEASE} main\n"
    (root / "etc/apt/sources.list").write_text(sources, encoding="utf-8")
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")


def _run(command: list[str], what: str, log: Path, console: Console) -> None:
    started = time.monotonic()
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while process.poll() is None:
            console.moving(f"{what}: {elapsed(time.monotonic() - started)}, {_last_line(log)}")
            time.sleep(0.5)
    if process.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise LocalkubeError(f"{what} failed:\n" + "\n".join(tail))


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1].removeprefix("I: ") if lines else ""
