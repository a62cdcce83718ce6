"""The pod sandbox image, from the Go file in `pause/`: there is no registry to pull one from."""

import hashlib
import platform
import subprocess
from pathlib import Path

from localkube import ociarchive
from localkube.builder import go_environment, require_go
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.locking import exclusive, scratch_directory
from localkube.node import PAUSE_IMAGE
from localkube.paths import PACKAGE, cache_root

_SOURCE = PACKAGE / "pause" / "pause.go"
_USER = "65535:65535"


def archive(console: Console) -> Path:
    """The image archive; built when missing."""
    key = hashlib.sha256(_SOURCE.read_bytes() + PAUSE_IMAGE.encode() + _USER.encode()).hexdigest()[:12]
    target = cache_root() / "images" / f"pause-{key}.tar"
    if not target.exists():
        lock = target.parent / ".pause.lock"
        with (
            exclusive(lock, console, "another process builds the pause image; waiting for it"),
            scratch_directory(target.parent / ".pause.work") as scratch,
        ):
            _build(scratch, target)
    return target


def _build(scratch: Path, target: Path) -> None:
    binary = scratch / "pause"
    command = [require_go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(binary), str(_SOURCE)]
    result = subprocess.run(command, cwd=scratch, env=go_environment(), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LocalkubeError(f"go build of the pause image failed:\n{result.stderr.strip()}")
    layer = scratch / "layer.tar"
    ociarchive.single_file_layer(layer, "pause", binary.read_bytes())
    architecture = ociarchive.ARCHITECTURES.get(platform.machine(), platform.machine())
    ociarchive.write(target, PAUSE_IMAGE, layer, ociarchive.Runtime(architecture, ("/pause",), _USER))
