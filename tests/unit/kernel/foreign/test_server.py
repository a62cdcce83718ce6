"""From an argv to the settings of a plan, with the file that it names."""

import json
from pathlib import Path

import pytest

from hipbmm_kernel.foreign import server


def found(argv: list[str], env: dict[str, str] | None = None, *, has_command: bool = True) -> server.Planned:
    return server.find(argv, env or {}, has_command=has_command)


def test_the_servers_arguments_become_settings() -> None:
    planned = found(["vllm", "serve", "org/m", "-tp", "4", "--max-num-seqs", "64"])
    assert planned.env == {
        "HIPBMM_MODEL": "org/m",
        "HIPBMM_SERVER_ARGS": '["-tp", "4", "--max-num-seqs", "64"]',
        "HIPBMM_TENSOR_PARALLEL": "4",
    }
    assert planned.note == "server: VllmServe: org/m"


COMPUTED = """# flags that vLLM has since some version
LOG_ARGS="--disable-uvicorn-access-log"
VERSION=$(vllm --version 2>/dev/null | tail -1 | awk '{print $NF}')
if [[ "$VERSION" =~ ^[0-9]+ ]] && [ "$(printf '%s\\n' "0.16.0" "${VERSION}" | sort -V | head -1)" = "0.16.0" ]; then
  LOG_ARGS="--disable-access-log-for-endpoints /health,/metrics"
fi
eval "exec vllm serve /mnt/models \\
  --served-model-name "qwen" "publishers/ns/models/qwen" \\
  --port 8001 \\
  ${LOG_ARGS} --tensor-parallel-size 2 \\
   \\
  ${VLLM_ADDITIONAL_ARGS} \\
  $@"
"""
"""As KServe's LLMInferenceService starts vLLM since 2026: the text is in the command, the author's flags in args."""


def test_flags_that_a_shell_computes_are_left_out() -> None:
    env = {"VLLM_ADDITIONAL_ARGS": "--enforce-eager"}
    planned = found(["/bin/bash", "-c", COMPUTED, "--", "--max-num-seqs=256"], env)
    assert planned.env["HIPBMM_MODEL"] == "/mnt/models"
    assert json.loads(planned.env["HIPBMM_SERVER_ARGS"]) == [
        *("--served-model-name", "qwen", "publishers/ns/models/qwen", "--port", "8001"),
        *("--tensor-parallel-size", "2", "--enforce-eager", "--max-num-seqs=256"),
    ]


def test_the_profile_names_the_model_and_the_command_line_the_rest() -> None:
    planned = found(["vllm", "serve", "/mnt/models", "--enforce-eager"], {"HIPBMM_MODEL": "org/m"})
    assert planned.env["HIPBMM_MODEL"] == "org/m"
    assert json.loads(planned.env["HIPBMM_SERVER_ARGS"]) == ["--enforce-eager"]


def test_what_is_not_understood_plans_nothing_and_says_why() -> None:
    planned = found(["/start.sh"])
    assert planned.env == {}
    assert planned.note == "server: ScriptFile: /start.sh"
    assert found(["/start.sh"], {"HIPBMM_MODEL": "org/m"}).note == "server: Profile: org/m (ScriptFile: /start.sh)"


def test_a_configuration_file_is_looked_for_where_the_script_has_gone(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: org/m\n")
    planned = found(["sh", "-c", f"cd {tmp_path} && exec vllm serve --config c.yaml"])
    assert (planned.env["HIPBMM_MODEL"], planned.env["PWD"]) == ("org/m", str(tmp_path))


def test_a_configuration_file_stands_for_its_arguments(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "model: org/m\ntensor-parallel-size: 8\nenforce-eager: true\nlora: false\nsizes: [1, 2]\nx: {a: 1}\n"
    )
    planned = found(["vllm", "serve", "--config", str(path), "--max-num-seqs", "8"])
    assert planned.env["HIPBMM_MODEL"] == "org/m"
    assert planned.env["HIPBMM_TENSOR_PARALLEL"] == "8"
    assert json.loads(planned.env["HIPBMM_SERVER_ARGS"]) == (
        [
            "--tensor-parallel-size",
            "8",
            "--enforce-eager",
            "--sizes",
            "1",
            "2",
            "--x",
            '{"a": 1}',
            "--config",  # what `lora: false` means only the image's own vLLM knows
            str(path),
            "--max-num-seqs",
            "8",
        ]
    )
    over = found(["vllm", "serve", "org/other", "--config", str(path)])
    assert over.env["HIPBMM_MODEL"] == "org/other"


def test_what_differs_between_pods_is_left_out_of_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("master-addr: lws-0\nnode_rank: 1\nmax-num-seqs: 64\nheadless: true\nseed: 0\n")
    planned = found(["vllm", "serve", "org/m", "--config", str(path), "--nnodes", "2"])
    assert json.loads(planned.env["HIPBMM_SERVER_ARGS"]) == ["--max-num-seqs", "64", "--seed", "0"]
    path.write_text('dtype: "\\0"\n')
    assert found(["vllm", "serve", "org/m", "--config", str(path)]).note.startswith("server: ConfigFileUnreadable")


def test_a_configuration_file_behind_an_equals_sign_is_not_read_as_vllm_does_not(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: org/m\ntensor-parallel-size: 8\n")
    planned = found(["vllm", "serve", "org/other", f"--config={path}"])
    assert (planned.env["HIPBMM_MODEL"], planned.env.get("HIPBMM_TENSOR_PARALLEL")) == ("org/other", None)
    assert json.loads(planned.env["HIPBMM_SERVER_ARGS"]) == [f"--config={path}"]
    assert found(["vllm", "serve", f"--config={path}"]).note.startswith("server: ModelUnknown")


@pytest.mark.parametrize("text", [None, "- a\n- b\n", "a: [", "\x00", ""])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    planned = found(["vllm", "serve", "org/m", "--config", str(path)])
    assert planned.env == {}
    assert planned.note.startswith(f"server: ConfigFileUnreadable: {path}")
