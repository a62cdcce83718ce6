"""`warm` without anything to tune: what it reports, what it serves, and what it must not do."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pods import SMALL_MODEL, Pod, PodMaker, fill, write_rocm

from hipbmm_kernel.planner import plan
from hipbmm_kernel.pod import state_file
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store import shard
from hipbmm_kernel.store.shard_origin import node_of
from hipbmm_kernel.system.volume import Volume

CONFIG = json.dumps(SMALL_MODEL).encode()


def problems(tokens: tuple[int, ...] = (1, 2, 16)) -> list[Problem]:
    return list(plan.build(CONFIG, plan.Options(tokens=tokens)).problems)


@pytest.fixture
def full(pod: Pod) -> Pod:
    """A pod whose store has every row of its plan."""
    fill(pod.store, pod.stack(), problems())
    return pod


def test_a_complete_store_needs_no_child_and_no_torch(full: Pod) -> None:
    # A torch that fails to import proves that nobody imported it.
    poisoned = full.root / "poison"
    (poisoned / "torch").mkdir(parents=True)
    (poisoned / "torch/__init__.py").write_text("raise SystemExit('torch was imported')")
    done = full.run("warm", PYTHONPATH=f"{poisoned}:{full.env['PYTHONPATH']}")
    assert done.returncode == 0, done.stderr
    message = full.message
    assert (message["state"], message["reason"], message["source"]) == ("Complete", "Restored", "Restored")
    assert (message["children"], message["torchImported"], message["hipbmm"]) == (0, False, True)
    assert (message["rows"], message["restored"], message["problems"]) == (12, 12, 12)
    assert message["geomean"] == "1.11"
    assert message["key"] == full.stack().key
    assert message["plan"] == {"source": "Config", "architecture": "Qwen3ForCausalLM", "linears": 4}
    served = aiter_csv.parse(full.served_file.read_bytes())
    assert {row.problem for row in served.accepted} == set(problems())
    assert full.served_file.stat().st_mode & 0o777 == 0o644


def test_the_whole_report_is_on_the_pods_disk(full: Pod) -> None:
    full.run("warm")
    report = full.report
    assert {name: report[name] for name in full.message} == full.message
    assert report["stackDocument"]["databases"]


def test_a_read_only_store_is_restored_from(full: Pod) -> None:
    full.store.chmod(0o555)
    full.run_bound_by_permissions("warm")
    assert full.message["state"] == "Complete"
    assert full.message["storage"]["writable"] is False


def test_a_served_file_that_cannot_be_written_turns_hipbmm_off(full: Pod) -> None:
    full.served_file.parent.write_text("a file where the directory should be")
    full.run("warm")
    message = full.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Failed", "ServedFileUnwritable", False)
    assert (message["rows"], message["digest"]) == (0, "")
    assert str(full.served_file) in message["message"]


def test_runs_that_were_killed_end_in_one_that_serves_what_there_is_and_tunes_nothing(pod: Pod) -> None:
    fill(pod.store, pod.stack(), problems()[:5])
    for _ in range(3):
        state_file.begin_attempt(Volume(), str(pod.home / "state.json"), 0.0)
    assert pod.run("warm").returncode == 0
    message = pod.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Partial", "TunerFailed", True)
    assert (message["rows"], message["children"]) == (5, 0)
    assert "3 runs of warm in this pod were ended" in message["message"]
    assert json.loads((pod.home / "state.json").read_text())["attempts"] == 0


def test_a_typo_in_the_servers_arguments_is_no_crash_of_ours(full: Pod) -> None:
    """The image's own parser refuses the arguments: the server ends at once in each mode, and keeps the first."""
    files = {
        "sitecustomize": "",  # in place of the one of the simulated image
        "torch/__init__": "def set_num_threads(n): pass",
        "vllm/utils/argparse_utils": "import argparse\nclass FlexibleArgumentParser(argparse.ArgumentParser): pass",
        "vllm/engine/arg_utils": "class AsyncEngineArgs:\n    def add_cli_args(parser): raise SystemExit(2)",
        "vllm/usage/usage_lib": "class UsageContext: OPENAI_API_SERVER = 1",
        "vllm/model_executor/model_loader/utils": "",
        "vllm/model_executor/kernels/linear/scaled_mm/aiter": "class AiterHipbMMPerTokenFp8ScaledMMLinearKernel: pass",
    }
    for name, text in files.items():
        path = full.root / f"image/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
        for parent in list(path.relative_to(full.root / "image").parents)[:-1]:
            (full.root / "image" / parent / "__init__.py").touch()
    env = {"PYTHONPATH": f"{full.root}/image:{full.env['PYTHONPATH']}", "HIPBMM_MODEL": "Qwen/Qwen3-32B"}
    full.run("warm", HIPBMM_SERVER_ARGS='["--max-num-seq", "8"]', **env)
    assert (full.message["state"], full.message["refused"]) == ("Complete", True), full.report["notes"]
    for _ in range(5):
        full.run("exec", "--", "false")
    state = json.loads((full.home / "state.json").read_text())
    assert (state["starts"], state["crashes"], state["mode"]) == (5, 0, "Tuned")


def test_a_mirror_alone_is_enough(pod: Pod) -> None:
    fill(pod.root / "mirror", pod.stack(), problems())
    pod.store.rmdir()
    pod.run("warm", HIPBMM_MIRRORS=f"{pod.root / 'nothing'}:{pod.root / 'mirror'}")
    assert (pod.message["state"], pod.message["rows"]) == ("Complete", 12)
    assert pod.message["storage"] == {"writable": False, "error": f"{pod.store} is no directory"}


def test_tuning_switched_off_serves_what_there_is(pod: Pod) -> None:
    fill(pod.store, pod.stack(), problems()[:5])
    pod.run("warm", HIPBMM_TUNE="0")
    message = pod.message
    assert (message["state"], message["reason"]) == ("Disabled", "TuningDisabled")
    assert (message["tuned"], message["rows"], message["source"], message["children"]) == (5, 5, "Restored", 0)


def test_policy_block_accepts_a_complete_store(full: Pod) -> None:
    assert full.run("warm", HIPBMM_POLICY="Block").returncode == 0


def test_policy_block_refuses_an_incomplete_one(pod: Pod) -> None:
    assert pod.run("warm", HIPBMM_POLICY="Block", HIPBMM_TUNE="0").returncode == 1


@pytest.mark.parametrize("name", ["VLLM_ROCM_USE_AITER", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM", "HIP_ONLINE_TUNING"])
def test_a_users_own_value_wins_and_is_reported(full: Pod, name: str) -> None:
    full.run("warm", **{name: "0"})
    message = full.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Disabled", "ConflictingEnv", False)
    assert name in message["message"]


def test_no_gpu(pod: Pod) -> None:
    shutil.rmtree(Path(pod.env["HIPBMM_DEV"]) / "dri")
    pod.run("warm")
    assert (pod.message["state"], pod.message["reason"], pod.message["hipbmm"]) == ("Failed", "NoGpu", True)


@pytest.mark.parametrize("gone", ["lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat", ".info/version"])
def test_an_unknown_part_of_the_stack_is_never_served_from_the_store(full: Pod, node: Path, gone: str) -> None:
    (node / "rocm" / gone).unlink()
    full.run("warm", HIPBMM_TUNE="0")
    message = full.message
    assert (message["state"], message["reason"], message["rows"]) == ("Failed", "StackUnknown", 0)
    assert message["key"] == ""


def test_another_build_of_the_library_finds_no_row(full: Pod, node: Path) -> None:
    write_rocm(node / "rocm", database=b"rebuilt")
    full.run("warm", HIPBMM_TUNE="0")
    assert (full.message["state"], full.message["rows"]) == ("Disabled", 0)


def change(pod: Pod, **fields: Any) -> None:  # noqa: ANN401 - fields of a config
    path = pod.root / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_an_unknown_architecture_is_served_with_every_row_of_the_stack(full: Pod) -> None:
    change(full, architectures=["UnheardOfForCausalLM"], model_type="unheard_of")
    full.run("warm")
    message = full.message
    assert (message["state"], message["reason"], message["plan"]["source"]) == (
        "NoPlan",
        "UnknownArchitecture",
        "Unknown",
    )
    assert (message["rows"], message["children"], message["hipbmm"]) == (12, 0, True)


@pytest.mark.parametrize("right", [True, False])
def test_an_unknown_architecture_may_call_what_aiter_must_not_choose_for(full: Pod, right: bool) -> None:
    stack, problem = full.stack(), Problem(1, 2048, 512)
    node = node_of(full.settings(HIPBMM_NODE_NAME="node-a"))
    veto = gemm.Veto(gemm.key_of(problem), gemm.OWN_CHOICE, "no solution")
    data = shard.encode(shard.Shard(stack.key, "someone.warm", 2, shard.VETOES, vetoes=(veto,), node=node))
    (full.store / "v1" / stack.key / "shards" / shard.name_of(data)).write_bytes(data)
    if right:
        fill(full.store, stack, [problem])
    change(full, architectures=["UnheardOfForCausalLM"], model_type="unheard_of")
    full.run("warm", HIPBMM_NODE_NAME="node-a")
    message = full.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("NoPlan", "UnknownArchitecture", right)
    assert message["unproven"] == ([] if right else ["M=1 N=2048 K=512"])


def test_a_model_that_the_kernel_would_kill_is_served_without_it(full: Pod) -> None:
    change(full, intermediate_size=528)  # K = 528 = 16 * 33 passes vLLM's gate and dies in shuffle_weight
    full.run("warm")
    message = full.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("NoPlan", "KernelIncompatible", False)
    assert message["rows"] == 0


def test_a_model_without_eligible_linears(full: Pod) -> None:
    change(full, quantization_config=None)
    full.run("warm")
    assert (full.message["state"], full.message["reason"]) == ("NoPlan", "NoEligibleLinears")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "config.json"),
        (b"[]", "config.json"),
        (b"[" * 10_000, "config.json"),
        (json.dumps({**SMALL_MODEL, "hidden_size": -5}).encode(), "hidden_size"),
        (json.dumps({**SMALL_MODEL, "hidden_size": "../../etc"}).encode(), "hidden_size"),
        (json.dumps({**SMALL_MODEL, "hidden_size": 10**30}).encode(), "hidden_size"),
        (b" " * (5 << 20), "config.json"),
    ],
)
def test_a_hostile_config_is_invalid_with_its_field(full: Pod, content: bytes, field: str) -> None:
    (full.root / "config.json").write_bytes(content)
    done = full.run("warm")
    assert done.returncode == 0
    message = full.message
    assert (message["state"], message["reason"]) == ("NoPlan", "ConfigInvalid")
    assert field in message["message"]


def test_a_config_of_a_gigabyte_is_not_read(full: Pod) -> None:
    with (full.root / "config.json").open("wb") as file:
        file.truncate(1 << 30)
    full.run("warm")
    assert full.message["reason"] == "ConfigInvalid"


def test_a_config_that_is_no_file_is_not_waited_for(full: Pod) -> None:
    (full.root / "config.json").unlink()
    os.mkfifo(full.root / "config.json")
    full.run("warm")
    assert full.message["reason"] == "ConfigMissing"


def test_the_config_is_found_at_the_models_path_and_in_the_hub_cache(full: Pod) -> None:
    (full.root / "models").mkdir()
    (full.root / "models/config.json").write_bytes(CONFIG)
    full.run("warm", HIPBMM_MODEL_CONFIG="", HIPBMM_MODEL=str(full.root / "models"))
    assert full.message["state"] == "Complete"

    snapshot = full.root / "hub/models--Some--Model/snapshots/abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to(full.root / "models/config.json")
    refs = full.root / "hub/models--Some--Model/refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    full.run("warm", HIPBMM_MODEL_CONFIG="", HIPBMM_MODEL="Some/Model", HF_HUB_CACHE=str(full.root / "hub"))
    assert full.message["state"] == "Complete"
    assert any("snapshots/abc123" in note for note in full.report["notes"])


@pytest.mark.parametrize("model", ["../../etc", "Some/../Model", "-x/y", "a/b/c", "Some/Model"])
def test_a_model_that_is_nowhere_is_missing(full: Pod, model: str) -> None:
    full.run("warm", HIPBMM_MODEL_CONFIG="", HIPBMM_MODEL=model, HF_HUB_OFFLINE="1")
    message = full.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("NoPlan", "ConfigMissing", True)


def test_explicit_linears_are_planned_in_addition(full: Pod) -> None:
    full.run("warm", HIPBMM_TUNE="0", HIPBMM_LINEARS='[{"n": 4096, "k": 1024}]')
    assert (full.message["problems"], full.message["tuned"]) == (15, 12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HIPBMM_TENSOR_PARALLEL", "0"),
        ("HIPBMM_SERVER_ARGS", "{"),
        ("HIPBMM_LINEARS", '[{"n": 0, "k": 1}]'),
        ("HIPBMM_TOKENS", '["1"]'),
        ("HIPBMM_POLICY", "maybe"),
        ("HIPBMM_BUDGET_SECONDS", "nan"),
        ("HIPBMM_POD_UID", "a/b"),
    ],
)
def test_a_setting_that_cannot_be_understood_is_wrong_usage(pod: Pod, name: str, value: str) -> None:
    done = pod.run("warm", **{name: value})
    assert done.returncode == 2
    assert name in done.stderr


def test_two_pods_with_equal_stores_serve_equal_bytes(make_pod: PodMaker) -> None:
    first, second = make_pod("pod-a"), make_pod("pod-b")
    fill(first.store, first.stack(), problems())
    first.run("warm")
    second.run("warm")
    assert first.message["digest"] == second.message["digest"]


def test_an_unwritable_home_still_ends_with_a_message(full: Pod) -> None:
    shutil.rmtree(full.home)
    full.home.write_text("in the way")
    done = full.run("warm")
    assert done.returncode == 0
    assert full.message["rows"] == 0
    assert full.message["errors"]
