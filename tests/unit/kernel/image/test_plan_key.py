"""Equal servers have one key; whatever can change vLLM's answer changes it, and nothing of a single pod does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hipbmm_kernel.image import kept_plan

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS = ("org/model", "--max-num-seqs", "64")
IMAGE = {"vllm": "0.33.0", "record": "r", "aiter": "0.1.20", "arch": "gfx942", "tensor_parallel": 1}
KEY = kept_plan.key_of(ARGUMENTS, {"VLLM_ROCM_USE_AITER": "1"}, b"{}", "download", IMAGE)


def test_a_key_is_sixteen_hex_digits() -> None:
    assert len(KEY) == kept_plan.LENGTH
    assert set(KEY) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "env",
    [
        {"HOSTNAME": "pod-1"},
        {"VLLM_HOST_IP": "10.0.0.1"},
        {"VLLM_API_KEY": "s"},
        {"HF_TOKEN": "s"},
        {"VLLM_DP_RANK": "1"},
    ],
)
def test_a_pods_own_variables_and_secrets_are_not_in_it(env: dict[str, str]) -> None:
    assert kept_plan.key_of(ARGUMENTS, {"VLLM_ROCM_USE_AITER": "1", **env}, b"{}", "download", IMAGE) == KEY


def test_everything_else_changes_it() -> None:
    env = {"VLLM_ROCM_USE_AITER": "1"}
    others = [
        kept_plan.key_of((*ARGUMENTS, "-O0"), env, b"{}", "download", IMAGE),
        kept_plan.key_of(ARGUMENTS, {**env, "VLLM_DISABLED_KERNELS": "X"}, b"{}", "download", IMAGE),
        kept_plan.key_of(ARGUMENTS, {**env, "TORCH_COMPILE_DISABLE": "1"}, b"{}", "download", IMAGE),
        kept_plan.key_of(ARGUMENTS, env, b"{ }", "download", IMAGE),
        kept_plan.key_of(ARGUMENTS, env, None, "download", IMAGE),
        *(kept_plan.key_of(ARGUMENTS, env, b"{}", "download", {**IMAGE, name: "other"}) for name in IMAGE),
    ]
    assert len({KEY, *others}) == 1 + len(others)


@pytest.mark.parametrize("argument", ["{}", "--config={}"])
def test_a_file_that_is_named_counts_by_its_content(tmp_path: Path, argument: str) -> None:
    file = tmp_path / "server.yaml"
    keys = []
    for text in ("tensor-parallel-size: 2\n", "tensor-parallel-size: 4\n"):
        file.write_text(text)
        keys.append(kept_plan.key_of((argument.format(file),), {}, b"{}", "download", IMAGE))
    assert len(set(keys)) == 2


@pytest.mark.parametrize("argument", ["{}", "--speculative-config.model={}", '{{"method":"eagle","model":"{}"}}'])
def test_a_draft_model_counts_beside_the_model_itself(tmp_path: Path, argument: str) -> None:
    target, draft = tmp_path / "target", tmp_path / "draft"
    for folder in (target, draft):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    arguments = (str(target), "--speculative-config", argument.format(draft))
    keys = [kept_plan.key_of(arguments, {}, b"{}", str(target / "config.json"), IMAGE)]
    (draft / "config.json").write_text('{"hidden_size": 8}')
    keys.append(kept_plan.key_of(arguments, {}, b"{}", str(target / "config.json"), IMAGE))
    assert len(set(keys)) == 2


def test_code_and_configurations_beside_a_config_count(tmp_path: Path) -> None:
    path = str(tmp_path / "config.json")
    keys = [kept_plan.key_of(ARGUMENTS, {}, b"{}", path, IMAGE)]
    for name, text in (("hf_quant_config.json", "{}"), ("modeling_own.py", "x = 1"), ("modeling_own.py", "x = 2")):
        (tmp_path / name).write_text(text)
        keys.append(kept_plan.key_of(ARGUMENTS, {}, b"{}", path, IMAGE))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model-00001.safetensors").write_text("weights")
    keys.append(kept_plan.key_of(ARGUMENTS, {}, b"{}", path, IMAGE))
    assert len(set(keys)) == 4
    assert keys[-1] == keys[-2]
