"""The gate: three flags and an MI3xx, and the switch for online tuning. Needs no torch."""

import subprocess
import sys

import pytest

from hipbmm_kernel.linear import gate
from hipbmm_kernel.linear.gate import Platform

MI300X = Platform(rocm=True, arch="gfx942:sramecc+:xnack-")
ALL_ON = dict.fromkeys(gate.FLAGS, "1")
THREE_FLAGS = (
    "requires setting `VLLM_ROCM_USE_AITER=1`, `VLLM_ROCM_USE_AITER_LINEAR=1`, "
    "and `VLLM_ROCM_USE_AITER_LINEAR_HIPBMM=1`."
)


def test_all_flags_on_an_mi300x() -> None:
    assert gate.refusal(MI300X, ALL_ON) is None


@pytest.mark.parametrize("name", gate.FLAGS)
@pytest.mark.parametrize("value", ["0", "false", "", "yes", "2", " 1"])
def test_each_flag_switched_off_refuses_with_vllms_words(name: str, value: str) -> None:
    assert gate.refusal(MI300X, ALL_ON | {name: value}) == THREE_FLAGS


@pytest.mark.parametrize("name", ["VLLM_ROCM_USE_AITER", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"])
def test_a_flag_that_is_off_by_default_must_be_set(name: str) -> None:
    without = {key: value for key, value in ALL_ON.items() if key != name}
    assert gate.refusal(MI300X, without) == THREE_FLAGS


def test_the_linear_flag_is_on_by_default_as_in_vllm() -> None:
    without = {key: value for key, value in ALL_ON.items() if key != "VLLM_ROCM_USE_AITER_LINEAR"}
    assert gate.refusal(MI300X, without) is None


@pytest.mark.parametrize("value", ["1", "true", "True", "TRUE"])
def test_spellings_of_on(value: str) -> None:
    assert gate.refusal(MI300X, dict.fromkeys(gate.FLAGS, value)) is None


def test_without_rocm_the_flags_do_not_matter() -> None:
    assert gate.refusal(Platform(rocm=False, arch=None), ALL_ON) == "requires ROCm."
    assert gate.refusal(Platform(rocm=False, arch="gfx942"), {}) == "requires ROCm."


@pytest.mark.parametrize("arch", ["gfx90a:sramecc+:xnack-", "gfx1100", "gfx94", "gfx9420", None])
def test_other_gpus_are_named(arch: str | None) -> None:
    assert gate.refusal(Platform(rocm=True, arch=arch), ALL_ON) == (
        f"requires an MI3xx GPU (gfx942 or gfx950), received {arch}."
    )


def test_missing_flags_are_said_before_the_gpu() -> None:
    assert gate.refusal(Platform(rocm=True, arch="gfx90a"), {}) == THREE_FLAGS


def test_gate_on_forwards_the_tuning_variable() -> None:
    environ = dict(ALL_ON)
    assert gate.forward_online_tuning(MI300X, environ)
    assert environ["HIP_ONLINE_TUNING"] == "1"


@pytest.mark.parametrize("name", gate.FLAGS)
def test_gate_off_forwards_nothing(name: str) -> None:
    environ = ALL_ON | {name: "0"}
    assert not gate.forward_online_tuning(MI300X, environ)
    assert "HIP_ONLINE_TUNING" not in environ


def test_a_users_own_value_of_the_tuning_variable_is_kept() -> None:
    environ = ALL_ON | {"HIP_ONLINE_TUNING": "0"}
    assert not gate.forward_online_tuning(MI300X, environ)
    assert environ["HIP_ONLINE_TUNING"] == "0"


@pytest.mark.parametrize(("value", "on"), [("1", True), ("true", True), ("True", False), ("yes", False), ("", False)])
def test_only_aiters_two_spellings_count_as_tuning_on(value: str, on: bool) -> None:
    assert gate.forward_online_tuning(MI300X, ALL_ON | {"HIP_ONLINE_TUNING": value}) is on


def test_the_gate_imports_no_torch() -> None:
    program = "import sys, hipbmm_kernel.linear.gate; sys.exit('torch' in sys.modules or 'aiter' in sys.modules)"
    path = ":".join(entry for entry in sys.path if entry.endswith("kernel"))
    subprocess.run([sys.executable, "-S", "-c", program], env={"PYTHONPATH": path}, check=True)
