"""When the server of a pod that is not ours gets the table, and with which variables."""

import pytest

from hipbmm_kernel.foreign import decision

PROVEN = {"hipbmm": True, "dispatch": "Memory"}
ALL = {
    "VLLM_ROCM_USE_AITER": "1",
    "VLLM_ROCM_USE_AITER_LINEAR": "1",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1",
    "PYTHONPATH": "/hipbmm/kernel",
    "HIPBMM_DISPATCH_TABLE": "/hipbmm/dispatch/table",
}


def test_what_is_proven_gets_all() -> None:
    assert decision.variables(PROVEN, {}, (), "/hipbmm", {}) == (ALL, "")


def test_the_images_own_path_comes_first_and_the_users_values_stay() -> None:
    env = {"PYTHONPATH": "/app:/lib", "VLLM_ROCM_USE_AITER_LINEAR": "1", "AITER_JIT_DIR": "/jit"}
    found, reason = decision.variables(PROVEN, env, (), "/hipbmm", {"AITER_JIT_DIR": "/hipbmm/cache/aiter"})
    assert reason == ""
    assert found["PYTHONPATH"] == "/app:/lib:/hipbmm/kernel"
    assert not {"VLLM_ROCM_USE_AITER_LINEAR", "AITER_JIT_DIR"} & set(found)
    assert set(found) <= set(decision.KEYS)


@pytest.mark.parametrize(
    ("report", "env", "fixed", "words"),
    [
        (None, {}, (), "no report"),
        ({**PROVEN, "hipbmm": False, "message": "no solution"}, {}, (), "no solution"),
        ({**PROVEN, "dispatch": "File"}, {}, (), "not proven"),
        ({"hipbmm": True}, {}, (), "not proven"),
        (PROVEN, {}, ("PYTHONPATH",), "sets PYTHONPATH"),
        (PROVEN, {"VLLM_PLUGINS": "other"}, (), "hipbmm_starts, hipbmm_dispatch"),
        (PROVEN, {"VLLM_PLUGINS": ""}, (), "hipbmm_starts, hipbmm_dispatch out"),
        (PROVEN, {"VLLM_PLUGINS": "hipbmm_dispatch"}, (), "leaves hipbmm_starts out"),
    ],
)
def test_what_is_not_proven_gets_nothing(
    report: dict[str, object] | None, env: dict[str, str], fixed: tuple[str, ...], words: str
) -> None:
    found, reason = decision.variables(report, env, fixed, "/hipbmm", {})
    assert found == {}
    assert words in reason


def test_plugins_that_the_user_names_with_ours_are_fine() -> None:
    env = {"VLLM_PLUGINS": "mine,hipbmm_dispatch,hipbmm_starts"}
    assert decision.variables(PROVEN, env, (), "/hipbmm", {})[1] == ""
