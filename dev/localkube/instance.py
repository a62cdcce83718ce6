"""What other programs of this repository may ask about an instance."""

from pathlib import Path

from localkube import status
from localkube.errors import LocalkubeError
from localkube.paths import Layout


def kubeconfig(name: str) -> Path:
    """The kubeconfig of the instance `name`; LocalkubeError when it was never made."""
    path = Layout.of(name).kubeconfig
    if not path.exists():
        raise LocalkubeError(f"there is no instance {name}: `localkube up --name {name}` makes it")
    return path


def describe(name: str) -> status.State:
    """The same as `status -o json`."""
    return status.of(Layout.of(name))
