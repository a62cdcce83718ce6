"""Which linears reach HIPBMM under which quantisation: the built-in planner's rules are those of each vLLM."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import EXPORT, TINY
from tests.ptpc import PTPC
from tests.unit.kernel.configs import QUARK

from compat.worker import JobFailed, Worker
from hipbmm_kernel.planner import plan, vllm_version
from hipbmm_kernel.planner.answer import ImageLinear
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

Config = dict[str, Any]


def ptpc(**more: Any) -> Config:  # noqa: ANN401 - JSON
    """The usual scheme with other `weights`, `inputs`, `targets`, a second `group`, or fields of the whole."""
    made = copy.deepcopy(PTPC)
    group = made["config_groups"]["group_0"]  # type: ignore[index] # a literal
    group["weights"].update(more.pop("weights", {}))
    group["input_activations"].update(more.pop("inputs", {}))
    group["targets"] = more.pop("targets", group["targets"])
    if "group" in more:
        made["config_groups"]["group_1"] = more.pop("group")  # type: ignore[index] # a literal
    return {**made, **more}


def quark(**more: Any) -> Config:  # noqa: ANN401 - JSON
    return {**copy.deepcopy(QUARK), "export": EXPORT, **more}


def int8(*targets: str) -> Config:
    weights = {"type": "int", "num_bits": 8, "strategy": "channel", "symmetric": True, "dynamic": False}
    inputs = {"type": "int", "num_bits": 8, "strategy": "token", "symmetric": True, "dynamic": True}
    return {"targets": list(targets), "weights": weights, "input_activations": inputs}


CHECKPOINTS: dict[str, Config] = {
    "usual": ptpc(),
    "dynamic tensor activations": ptpc(inputs={"strategy": "tensor"}),
    "static tensor": ptpc(inputs={"strategy": "tensor", "dynamic": False}, weights={"strategy": "tensor"}),
    "tensor weights": ptpc(weights={"strategy": "tensor"}),
    "ignored part by part": ptpc(ignore=["lm_head", "re:.*(q|k|v)_proj"]),
    "ignored by the fused name": ptpc(ignore=["lm_head", "re:.*qkv_proj"]),
    "ignored literally": ptpc(ignore=["model.layers.0.mlp.down_proj"]),
    "targets by pattern": ptpc(targets=["re:.*self_attn.*"]),
    "parts of another group": ptpc(group=int8("re:.*\\.(gate|up)_proj$")),
    "names of another group": ptpc(group=int8("re:.*down_proj$")),
    "quark": quark(),
    "quark lists of one": quark(
        global_quant_config={name: [value] for name, value in QUARK["global_quant_config"].items()}  # type: ignore[attr-defined] # a literal
    ),
    "quark excludes": quark(exclude=["lm_head", "model.layers.0.mlp.down_proj", "re:.*o_proj"]),
    "quark per token": quark(
        global_quant_config={
            **QUARK["global_quant_config"],  # type: ignore[dict-item] # a literal
            "input_tensors": {"dtype": "fp8_e4m3", "qscheme": "per_token", "is_dynamic": True},
        }
    ),
}
ONLINE = [
    "--quantization fp8_per_channel",
    "--quantization fp8_per_tensor",
    '--quantization online --quantization-config {"linear":"fp8_per_channel"}',
    "--quantization fp8_per_channel --quantization-config.linear mxfp8",
    '--quantization fp8_per_channel --quantization-config {"ignore":["re:.*down_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["*o_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["*qkv_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["model.layers.[0-1].mlp.*"]}',
    '--quantization online --quantization-config {"targets":{"*down_proj":"fp8_per_channel"}}',
]
VERSIONS = ("0.23.0", "0.28.0", "0.33.0")


def compared(worker: Worker, folder: Path, config: Config, version: str, arguments: list[str]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    try:
        answer = worker.run("ask", str(folder), *arguments)
    except JobFailed as error:
        pytest.skip(f"vLLM {version} cannot build it: {str(error)[:100]}")
    if "refused" in answer:
        pytest.skip(f"vLLM {version} refuses it: {answer['refused'][:100]}")
    linears = [ImageLinear(*fields) for fields in answer["linears"]]
    vllm = sorted((linear.n, linear.k, linear.copies) for linear in linears if linear.hipbmm)
    number = vllm_version.parse(version) or vllm_version.NEWEST
    made = plan.build(json.dumps(config).encode(), Options(vllm=number, flags=ServerFlags.from_argv(arguments)))
    mine = sorted((each.linear.n, each.linear.k, each.linear.copies) for each in made.linears if each.eligible)
    assert mine == vllm, [(linear.path, linear.reason) for linear in linears]


def model(quantisation: Config | None) -> Config:
    """Sizes that differ for each linear."""
    sizes = {**TINY, "hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 8}
    config = {**sizes, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    return config if quantisation is None else {**config, "quantization_config": quantisation}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoints_linears(name: str, version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    compared(workers[version], tmp_path, model(CHECKPOINTS[name]), version, [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("line", ONLINE)
def test_online_quantisation(line: str, version: str, workers: dict[str, Worker], tmp_path: Path) -> None:
    compared(workers[version], tmp_path, model(None), version, line.split(" "))
