"""The images of a node: containerd's namespace k8s.io, by its own client `ctr`."""

import subprocess
from pathlib import Path

from localkube import builder, modules, ociarchive
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.paths import Layout


def load(layout: Layout, archive: Path, console: Console) -> bool:
    """Import an OCI archive unless the node has the same image by the same name. Returns whether it was imported."""
    try:
        names, digest = ociarchive.names_and_digest(archive)
    except (OSError, ValueError) as error:
        raise LocalkubeError(str(error)) from error
    label = ", ".join(names) or archive.name
    present = digests(layout, console)
    if names and all(present.get(name) == digest for name in names):
        console.line(f"{label} is in {layout.name} already")
        return False
    console.line(f"loading {label} into {layout.name} ({archive.stat().st_size / 2**20:.0f} MiB)")
    _ctr(layout, console, "images", "import", str(archive.absolute()))
    return True


def digests(layout: Layout, console: Console) -> dict[str, str]:
    """Digest by name of the images that the node has."""
    rows = [line.split() for line in _ctr(layout, console, "images", "list").splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def _ctr(layout: Layout, console: Console, *arguments: str) -> str:
    binary = builder.binaries(modules.load("containerd"), console) / "ctr"
    # ctr wants an absolute path here: it takes anything else for a host name.
    command = [str(binary), "--address", str(layout.containerd_socket), "--namespace", "k8s.io", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LocalkubeError(f"ctr {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout
