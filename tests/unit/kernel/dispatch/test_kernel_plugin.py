"""The plugin with the bundled kernel, where there is nothing for it to do. In vLLM it is tried by `make compat`."""

from __future__ import annotations

import logging
import types

import pytest

from hipbmm_kernel.dispatch import kernel_plugin, plugins
from hipbmm_kernel.linear.eligibility import HIPBMM


@pytest.mark.parametrize(
    ("named", "loaded"), [(None, True), ("hipbmm_kernel", True), ("a,hipbmm_kernel", True), ("hipbmm_dispatch", False)]
)
def test_vllm_loads_all_plugins_or_those_that_are_named(named: str | None, loaded: bool) -> None:
    env = {} if named is None else {"VLLM_PLUGINS": named}
    assert (plugins.left_out(env, kernel_plugin.NAME) == "") == loaded


@pytest.mark.parametrize(("own", "path"), [({}, "/p"), ({"PYTHONPATH": "/own"}, "/own:/p")])
def test_the_users_own_modules_come_first(own: dict[str, str], path: str) -> None:
    assert kernel_plugin.environment(own, "/p") == {"PYTHONPATH": path, "HIPBMM_KERNEL_PLUGIN": "1"}


def test_a_vllm_that_has_the_kernel_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    module = types.ModuleType(kernel_plugin.MODULE)
    setattr(module, HIPBMM, own := type("Own", (), {}))
    with caplog.at_level(logging.INFO):
        kernel_plugin.install(module)
    assert vars(module)[HIPBMM] is own
    assert "has the kernel itself" in caplog.text
