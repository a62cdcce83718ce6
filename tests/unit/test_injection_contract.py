"""What admission adds and what the program expects are one: names, variables, the zip, a run of both texts."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import stacks

from hipbmm_kernel.contract import settings
from hipbmm_kernel.foreign import decision
from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.injection import patch, scripts, spelling
from hipbmm_operator.profiles import recipe

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = {
    "model": {"name": "org/model", "tensorParallel": 4, "configMapRef": {"name": "config"}},
    "tuning": {
        "enabled": False,
        "verify": False,
        "search": "Exhaustive",
        "retuneToken": "again",
        "tokens": [1, 2],
        "linears": [{"n": 32, "k": 32}],
    },
}
ONLY_FOR_PEOPLE = {"HIPBMM_PROFILE"}


def test_both_sides_spell_the_variables_of_the_file_alike() -> None:
    assert set(spelling.ENV_KEYS) == set(decision.KEYS)


@pytest.mark.parametrize("spec", [{}, EVERYTHING])
def test_admission_sets_only_variables_that_the_program_understands(spec: dict[str, object]) -> None:
    made = recipe.settings("qwen", ProfileSpec.model_validate(spec))
    profile = stacks.profile(env=[{"name": key, "value": value} for key, value in made.items()])
    added = [
        operation["value"]
        for operation in patch.operations(stacks.asking("deployment-args"), profile)
        if operation["path"].endswith("/env/-") and operation["value"]["name"].startswith("HIPBMM_")
    ]
    of_warm = {entry["name"]: entry.get("value", "x") for entry in added if "fileKeyRef" not in str(entry)}
    assert set(of_warm) - ONLY_FOR_PEOPLE <= set(settings.DEFAULTS)
    settings.parse_settings(of_warm)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "hipbmm_kernel.zip"
    command = [sys.executable, "-m", "hipbmm_kernel", "payload", "--zip", str(path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT / "kernel")})
    return path


def run(text: str, home: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """A text as its container runs it, with the volume in the test's folder and a machine without GPUs."""
    text = text.replace("/dev/termination-log", f"{home}/termination-log").replace("/hipbmm/", f"{home}/")
    inside = {"PATH": os.environ["PATH"], "HIPBMM_HOME": str(home), "HIPBMM_TERMINATION_LOG": f"{home}/termination-log"}
    nothing = {"HIPBMM_SYSFS": f"{home}/sys", "HIPBMM_DEV": f"{home}/dev", "HIPBMM_IMAGE_SECONDS": "0"}
    command = ["/bin/sh", "-c", text, "hipbmm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**inside, **nothing, **more}, timeout=150, cwd=home
    )


@pytest.mark.parametrize("mode", [spelling.WRAP, spelling.ENV_FILE_MODE])
def test_a_machine_without_gpus_serves_as_if_nothing_had_been_added(tmp_path: Path, program: Path, mode: str) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "hipbmm_kernel.zip").write_bytes(program.read_bytes())
    sha256 = hashlib.sha256(program.read_bytes()).hexdigest()
    done = run(scripts.WARM, tmp_path, sha256, "vllm", "serve", "org/model", HIPBMM_MODE=mode)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "termination-log").read_text())
    assert report["v"] == 1
    assert report["state"] != "Complete"
    assert (tmp_path / "env").read_text() == ""
    served = run(scripts.SERVER, tmp_path, "echo", "a model")
    assert (served.stdout, served.returncode) == ("a model\n", 0)
