"""Where the model's config.json is looked for, by the server's command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hipbmm_kernel.contract.settings import parse_settings
from hipbmm_kernel.pod import model_lookup
from hipbmm_kernel.system.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path


def found(folder: Path, *arguments: str) -> str:
    """The text of the config.json that is read of two models in a folder, and of one in a cache in two revisions."""
    for name in ("own", "other", "hub/models--a--b/snapshots/main", "hub/models--a--b/snapshots/v2"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(name.rpartition("/")[2])
    model = "a/b" if any("rev" in argument for argument in arguments) else str(folder / "own")
    env = {"HIPBMM_HOME": str(folder), "HIPBMM_MODEL": model, "HIPBMM_SERVER_ARGS": json.dumps(arguments)}
    data = model_lookup.find_config(parse_settings(env), {"HF_HUB_CACHE": str(folder / "hub")}, Volume()).data
    assert data is not None
    return data.decode()


@pytest.mark.parametrize("flag", ["--hf-config-path", "--hf_config_path", "--hf-config", "--hf-c", "--hf_config"])
@pytest.mark.parametrize("inline", [True, False])
def test_the_configuration_may_be_that_of_another_model(flag: str, inline: bool, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    assert found(tmp_path, *([f"{flag}={other}"] if inline else [flag, other])) == "other"


@pytest.mark.parametrize("flag", ["--hf-token", "--hf-overrides", "--hf", "--hf-config-path-of", "--config"])
def test_other_flags_name_no_configuration(flag: str, tmp_path: Path) -> None:
    assert found(tmp_path, flag, str(tmp_path / "other")) == "own"


@pytest.mark.parametrize(
    ("arguments", "revision"),
    [
        (["--revision", "v2"], "v2"),
        (["--rev=v2"], "v2"),
        (["--revision", "v2", "--revis", "main"], "main"),
        (["--revision", "../v2"], "main"),
    ],
)
def test_a_revision_of_a_cached_model(arguments: list[str], revision: str, tmp_path: Path) -> None:
    assert found(tmp_path, *arguments) == revision


@pytest.mark.parametrize("value", ["1", "true", " True"])
def test_a_model_of_modelscope_is_no_other_models_of_that_name(value: str, tmp_path: Path) -> None:
    env = {"VLLM_USE_MODELSCOPE": value, "MODELSCOPE_CACHE": str(tmp_path), "HF_HUB_CACHE": str(tmp_path)}
    settings = parse_settings({"HIPBMM_HOME": str(tmp_path), "HIPBMM_MODEL": "a/b-1.5"})
    of_huggingface = tmp_path / "models--a--b-1.5/snapshots/main"
    of_huggingface.mkdir(parents=True)
    (of_huggingface / "config.json").write_text("theirs")

    without = model_lookup.find_config(settings, env, Volume())
    assert without.data is None
    assert "ModelScope" in without.source
    own = tmp_path / "models/a/b-1___5"
    own.mkdir(parents=True)
    (own / "config.json").write_text("own")
    assert model_lookup.find_config(settings, env, Volume()).data == b"own"
    env["VLLM_USE_MODELSCOPE"] = "False"
    assert model_lookup.find_config(settings, env, Volume()).data == b"theirs"
