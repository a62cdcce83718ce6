"""`plan`: the problems of a model, or why there are none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.cli.commands import answer, run
from tests.unit.kernel.configs import encoded

from hipbmm_kernel.cli.plan import plan_command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_bytes(encoded("qwen3-32b"))
    return path


def test_plan_keeps_its_contract(config: Path) -> None:
    code, plan = answer(plan_command, "--config", config, "--tensor-parallel-size", 4, "--vllm-version", "0.23.0")

    assert code == 0
    assert {
        key: plan[key] for key in ("architecture", "problems", "estimateSeconds", "source", "compatible", "reason")
    } == {
        "architecture": "Qwen3ForCausalLM",
        "problems": 204,
        "estimateSeconds": 16.5,
        "source": "Config",
        "compatible": True,
        "reason": "",
    }
    assert plan["tokens"] == plan["captureTokens"] == [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]
    assert plan["linears"][0] == {
        "name": "qkv_proj",
        "n": 2560,
        "k": 5120,
        "bias": False,
        "count": 64,
        "eligible": True,
        "reason": "",
        "fatal": False,
    }


@pytest.mark.parametrize("version", ["0.1.dev0", "0.1.dev9000+gdeadbeef", "0.0.0"])
def test_a_version_that_says_nothing_about_its_age_is_planned_like_the_newest(config: Path, version: str) -> None:
    code, plan = answer(plan_command, "--config", config, "--vllm-version", version)

    assert (code, plan["problems"]) == (0, 204)
    assert plan["warnings"] == [f"vLLM's version '{version}' is not known: planned like 0.33"]


def test_plan_takes_every_flag(config: Path) -> None:
    argv = ("--config", config, "--max-num-seqs", 64, "--max-num-batched-tokens", 400, "--num-speculative-tokens", 1)
    _, small = answer(plan_command, *argv, "--vllm-version", "0.33.0")
    _, capped = answer(plan_command, "--config", config, "--max-cudagraph-capture-size", 16)
    _, eager = answer(plan_command, "--config", config, "--enforce-eager")
    _, listed = answer(plan_command, "--config", config, "--cudagraph-capture-sizes", 512, 7)
    _, told = answer(plan_command, "--config", config, "--server-args", '["--max-num-seqs", "16", "-O0"]')
    _, own = answer(plan_command, "--config", config, "--tokens", "[3, 1]", "--linears", '[{"n": 64, "k": 64}]')

    assert small["captureTokens"][-1] == 256
    assert small["tokens"][-1] == 400
    assert capped["captureTokens"] == [1, 2, 4, 8, 16]
    assert eager["tokens"] == list(range(1, 513))
    assert listed["captureTokens"] == [7, 512]
    assert told["tokens"] == list(range(1, 513))
    assert own["tokens"] == [1, 3]
    assert own["problems"] == 10


@pytest.mark.parametrize("form", ['["--num-speculative-tokens", "2"]', '["-sc", "{\\"num_speculative_tokens\\": 2}"]'])
def test_the_own_flag_wins_also_with_0(config: Path, form: str) -> None:
    _, plain = answer(plan_command, "--config", config)
    _, drafting = answer(plan_command, "--config", config, "--server-args", form)
    _, off = answer(plan_command, "--config", config, "--server-args", form, "--num-speculative-tokens", 0)
    assert off == plain != drafting


def test_plan_names_a_config_it_cannot_plan(tmp_path: Path, config: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(encoded("qwen3-32b", hidden_size=-1))
    code, refusal = answer(plan_command, "--config", bad)

    assert code == 1
    assert (refusal["reason"], refusal["field"], refusal["value"]) == ("ConfigInvalid", "hidden_size", "-1")
    code, refusal = answer(plan_command, "--config", config, "--tensor-parallel-size", 3)
    assert (code, refusal["field"]) == (1, "num_attention_heads")
    for path in (tmp_path, tmp_path / "none", Path("a\0b")):
        code, refusal = answer(plan_command, "--config", path)
        assert (code, refusal["reason"], refusal["field"]) == (1, "ConfigInvalid", "config.json")
    bad.write_bytes(b" " * 5_000_000)
    code, refusal = answer(plan_command, "--config", bad)
    assert (code, refusal["field"]) == (1, "config.json")


def test_plan_reads_no_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "config.json"
    os.mkfifo(fifo)

    assert run(plan_command, "--config", fifo)[0] == 1


def test_plan_for_people(config: Path) -> None:
    code, out, _ = run(plan_command, "--config", config)

    assert code == 0
    assert "64 x gate_up_proj 51200x5120: eligible" in out
    assert "204 problems: 51 token counts from 1 to 512, about 27 to 64 s on one GPU" in out


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--config",),
        ("--config", "x", "--tensor-parallel-size", "0"),
        ("--config", "x", "--tensor-parallel-size", "-1"),
        ("--config", "x", "--max-num-seqs", "1e3"),
        ("--config", "x", "--vllm-version", "newest"),
        ("--config", "x", "--vllm-version", "0.33garbage"),
        ("--config", "x", "--tokens", "[0]"),
        ("--config", "x", "--tokens", "[513]"),
        ("--config", "x", "--tokens", "{}"),
        ("--config", "x", "--linears", '[{"n": 1}]'),
        ("--config", "x", "--linears", '[{"n": 1, "k": -1}]'),
        ("--config", "x", "--linears", "[" * 50_000),
        ("--config", "x", "--server-args", "[1]"),
        ("--config", "x", "--nonsense"),
        ("--config", "x", "-o", "yaml"),
        ("extra", "--config", "x"),
    ],
)
def test_wrong_usage_of_plan(argv: tuple[str, ...]) -> None:
    code, out, err = run(plan_command, *argv)

    assert (code, out) == (2, "")
    assert "plan" in err


HOSTILE = "x\x1b[31m\nforged\u2028\ud800"


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": [HOSTILE]},
        {"quantization_config": {"quant_method": HOSTILE}},
        {"quantization_config": {**PTPC, "ignore": [HOSTILE]}},
        {"torch_dtype": HOSTILE},
        {"model_type": HOSTILE},
        {"hidden_size": HOSTILE},
        {HOSTILE: HOSTILE},
    ],
    ids=lambda fields: ascii(next(iter(fields)))[:20],
)
def test_foreign_text_is_escaped_for_people(config: Path, fields: dict[str, object]) -> None:
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))
    _, out, err = run(plan_command, "--config", config)
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert "\nforged" not in out
    out.encode()


@pytest.mark.parametrize("version", ["0.33garbage", "newest", "0.33.x", ""])
def test_a_version_that_is_none_is_named_with_its_remedy(version: str) -> None:
    code, _, err = run(plan_command, "--config", "x", "--vllm-version", version)
    assert (code, err) == (2, f"plan: --vllm-version: {version!r}: must be a release like 0.33.0\n")
