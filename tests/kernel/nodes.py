"""A node's sysfs and a container's /dev, as tests write them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import sysfs

Node = Callable[..., tuple[str, str]]


@pytest.fixture
def write_node(tmp_path: Path) -> Node:
    """`write_node(mine=[0], product="MI300X", ...)`: a node of which this container has some logical devices."""

    def write(mine: tuple[int, ...] = (0,), **kinds: object) -> tuple[str, str]:
        devices = sysfs.write_tree(tmp_path / "sys", **kinds)  # type: ignore[arg-type] # write_tree's own parameters
        sysfs.write_dev(tmp_path / "dev", [devices[number] for number in mine])
        return str(tmp_path / "sys"), str(tmp_path / "dev")

    return write
