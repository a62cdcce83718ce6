"""Which linears reach HIPBMM under which quantisation: the built-in planner's rules are those of each vLLM."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import EXPORT, TINY
from tests.ptpc import PTPC
from tests.unit.kernel.configs import QUARK

from hipbmm_kernel.planner import plan, vllm_version
from hipbmm_kernel.planner.answer import ImageLinear
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags

if TYPE_CHECKING:
    from pathlib import Path

    from compat.worker import Worker

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


FP8: Config = PTPC["config_groups"]["group_0"]  # type: ignore[index] # a literal
CHECKPOINTS: dict[str, Config] = {
    "usual": ptpc(),
    "dynamic tensor activations": ptpc(inputs={"strategy": "tensor"}),
    "locally dynamic activations": ptpc(inputs={"dynamic": "local"}),
    "static tensor": ptpc(inputs={"strategy": "tensor", "dynamic": False}, weights={"strategy": "tensor"}),
    "tensor weights": ptpc(weights={"strategy": "tensor"}),
    "ignored part by part": ptpc(ignore=["lm_head", "re:.*(q|k|v)_proj"]),
    "ignored by the fused name": ptpc(ignore=["lm_head", "re:.*qkv_proj"]),
    "ignored literally": ptpc(ignore=["model.layers.0.mlp.down_proj"]),
    "targets by pattern": ptpc(targets=["re:.*self_attn.*"]),
    "class by pattern": ptpc(targets=["re:.*Linear"]),
    "parts of two groups": ptpc(targets=["re:.*q_proj"], group={**FP8, "targets": ["re:.*\\.(k|v)_proj"]}),
    "first part of another group": ptpc(targets=["re:.*\\.(k|v)_proj"], group=int8("re:.*q_proj")),
    "parts of which one has no group": ptpc(targets=["re:.*(q|k)_proj", "re:.*o_proj"]),
    "parts of another group": ptpc(group=int8("re:.*\\.(gate|up)_proj$")),
    "the same target twice": ptpc(group=int8("Linear")),
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
    "--quantization fp8 --quantization-config.linear fp8_per_channel",
    '--quantization online --quantization-config {"linear":"fp8_per_channel"}',
    "--quantization fp8_per_channel --quantization-config.linear mxfp8",
    '--quantization fp8_per_channel --quantization-config {"ignore":["re:.*down_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["*o_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["*qkv_proj"]}',
    '--quantization fp8_per_channel --quantization-config {"ignore":["model.layers.[0-1].mlp.*"]}',
    '--quantization online --quantization-config {"targets":{"*down_proj":"fp8_per_channel"}}',
]
MXFP8: Config = {"quant_method": "modelopt", "quant_algo": "MXFP8", "ignore": ["lm_head", "model.layers.0.mlp.*"]}
OVER = [
    '--quantization-config {"linear":"fp8_per_channel"}',
    '--quantization-config {"targets":{"*o_proj":"fp8_per_channel"}}',
    '--quantization-config {"linear":"fp8_per_channel","ignore":["*o_proj"]}',
]
"""Beside a checkpoint that leaves its attention in 16 bit."""
VERSIONS = ("0.23.0", "0.28.0", "0.30.0", "0.33.0")
TAKEN = {"0.23.0": 14, "0.28.0": 21, "0.30.0": 23, "0.33.0": 23}
"""How many of the cases a version takes at least."""


class Answers(dict[str, dict[str, Any]]):
    """What each version of vLLM makes of all cases, asked in one process: most of the time is importing."""

    def __init__(self, workers: dict[str, Worker], folder: Path) -> None:
        self._workers, self._folder = workers, folder

    def __missing__(self, version: str) -> dict[str, Any]:
        servers = {name: [self._written(name, found), *arguments] for name, (found, arguments) in CASES.items()}
        answers = self._workers[version].run("ask_each", list(servers.values()))
        made = self[version] = dict(zip(servers, answers, strict=True))
        return made

    def _written(self, name: str, config: Config) -> str:
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()[:12] / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(config))
        return str(path.parent)


@pytest.fixture(scope="module")
def answers(workers: dict[str, Worker], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return Answers(workers, tmp_path_factory.mktemp("quantisation"))


def model(quantisation: Config | None) -> Config:
    """Sizes that differ for each linear."""
    sizes = {**TINY, "hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 8}
    config = {**sizes, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    return config if quantisation is None else {**config, "quantization_config": quantisation}


CASES: dict[str, tuple[Config, list[str]]] = {
    **{name: (model(checkpoint), []) for name, checkpoint in CHECKPOINTS.items()},
    **{line: (model(None), line.split(" ")) for line in ONLINE},
    **{f"over {line}": (model(ptpc(ignore=["re:.*self_attn.*"])), line.split(" ")) for line in OVER},
    **{f"over MXFP8 {line}": (model(MXFP8), line.split(" ")) for line in OVER},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_the_linears_with_the_kernel_are_those_of_each_version(name: str, version: str, answers: Answers) -> None:
    answer = answers[version][name]
    if "linears" not in answer:
        pytest.skip(f"vLLM {version} does not take it: {answer}"[:200])
    linears = [ImageLinear(*fields) for fields in answer["linears"]]
    vllm = sorted((linear.n, linear.k, linear.copies) for linear in linears if linear.hipbmm)
    number = vllm_version.parse(version) or vllm_version.NEWEST
    config, arguments = CASES[name]
    made = plan.build(json.dumps(config).encode(), Options(vllm=number, flags=ServerFlags.from_argv(arguments)))
    mine = sorted((each.linear.n, each.linear.k, each.linear.copies) for each in made.linears if each.eligible)
    assert mine == vllm, [(linear.path, linear.reason) for linear in linears]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_takes_most_of_them(version: str, answers: Answers) -> None:
    assert sum("linears" in answer for answer in answers[version].values()) >= TAKEN[version]


def test_a_linear_that_both_quantise_ends_the_server(answers: Answers) -> None:
    assert "cannot read back" in answers["0.33.0"][f"over {OVER[0]}"]["refused"]
