"""The program as it is in pods that are not ours, a zip and what it unpacks to, found by vLLM's own plugin loader."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compat import environment
from hipbmm_kernel.foreign import decision
from hipbmm_kernel.pod import payload

pytestmark = pytest.mark.timeout(300)
LOAD = """
import json
from vllm.plugins import load_plugins_by_group
found = load_plugins_by_group("vllm.general_plugins")
print("found", json.dumps({name: function.__module__ for name, function in found.items()}))
"""


@pytest.mark.parametrize("version", environment.versions())
def test_the_loader_finds_the_plugins_and_counts_starts_first(version: str, tmp_path: Path) -> None:
    data = payload.build_zip()
    (tmp_path / "program.zip").write_bytes(data)
    zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / "program")
    for name in ("program.zip", "program"):
        env = environment.environment(version)
        own = [path for path in env["PYTHONPATH"].split(os.pathsep) if path != str(environment.ROOT / "kernel")]
        env["PYTHONPATH"] = os.pathsep.join([*own, str(tmp_path / name)])
        done = subprocess.run(
            [sys.executable, "-c", LOAD], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        line = next((line for line in done.stdout.splitlines() if line.startswith("found ")), "")
        assert line, done.stderr
        found = json.loads(line.removeprefix("found "))
        ours = [plugin for plugin in found if found[plugin].startswith("hipbmm_kernel.")]
        assert tuple(ours[: len(decision.PLUGINS)]) == decision.PLUGINS
