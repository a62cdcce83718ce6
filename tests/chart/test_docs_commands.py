"""The commands of the pages for users, run in their order on a real API server.

Blocks marked `sh` run as they are. Those marked `console` need running pods or a person, and inline commands with a
placeholder or without an end are left out; everything else runs.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from tests.chart.tools import ROOT, run, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chart.cluster import Cluster

pytestmark = pytest.mark.timeout(1800)

PAGES = ("detection", "install", "operations", "troubleshooting", "uninstall")
# Verbs that wait for a pod, and words that stand for something of the user's.
NOT_RUN = re.compile(r" (logs|wait|exec|cp|port-forward|rollout) |POD|NODE| -w\b")
INLINE = re.compile(r"`((?:kubectl|helm) [^`]* [^`]+)`")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Scripts of a page in their order: whole blocks, and inline commands one by one."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    blocks = [(match.start(), match[1]) for match in BLOCK.finditer(text)]
    inline = [(match.start(), match[1]) for match in INLINE.finditer(text) if not NOT_RUN.search(match[1])]
    return [script for _, script in sorted(blocks + inline)]


@pytest.fixture
def environment(cluster: Cluster, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A shell that has our kubectl, helm and Python and talks to our API server."""
    for name in ("kubectl", "helm"):
        (tmp_path / name).symlink_to(tool(name))
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # a link would lose the environment's packages
    python.chmod(0o755)
    yield {"KUBECONFIG": cluster.kubeconfig, "PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"}
    cluster.uninstall("hipbmm-system")
    cluster.kubectl("delete", "crd", "hipbmmdeployments.hipbmm.io", "--ignore-not-found")
    cluster.kubectl("delete", "namespace", "models", "hipbmm-system", "--ignore-not-found", "--wait=false")


def test_every_command_of_the_pages_works(environment: dict[str, str]) -> None:
    bash = shutil.which("bash")
    assert bash
    for page in PAGES:
        for script in commands(page):
            done = run(bash, "-euc", script, env=environment)
            assert done.returncode == 0, f"docs/{page}.md: {script}\n{done.stdout}{done.stderr}"


def test_pages_have_commands() -> None:
    assert all(commands(page) for page in PAGES)
