"""Failures are ordered in a small language; a rule that is not understood must stop the run, not be ignored."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def faults(stand_in: Callable[[str], ModuleType]) -> ModuleType:
    module = stand_in("aiter_simulator.faults")
    module._rules.cache_clear()
    return module


def order(monkeypatch: pytest.MonkeyPatch, text: str, state: Path) -> None:
    monkeypatch.setenv("HIPBMM_SIM_FAULTS", text)
    monkeypatch.setenv("HIPBMM_SIM_STATE", str(state))


def test_conditions(faults: ModuleType) -> None:
    (rule,) = faults.parse("wrong:M=1-64,N=5120,on=lookup|explicit,how=tile")
    assert rule.holds({"M": 64, "N": 5120, "on": "lookup"})
    assert not rule.holds({"M": 65, "N": 5120, "on": "lookup"})
    assert not rule.holds({"M": 64, "N": 5120, "on": "heuristic"})
    assert not rule.holds({"M": 64, "on": "lookup"})
    assert rule.arguments == {"how": "tile"}


def test_several_rules_and_blanks(faults: ModuleType) -> None:
    assert [rule.kind for rule in faults.parse(" exit ; ; hang:K=8192, times=1;")] == ["exit", "hang"]


@pytest.mark.parametrize("text", ["explode", "exit:when=later", "exit:M", "exit:M=x", "hang:N=1-2-3"])
def test_a_rule_that_is_not_understood_is_an_error(faults: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|invalid literal"):
        faults.parse(text)


def test_times_are_counted_over_processes(faults: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order(monkeypatch, "lost-append:M=8,times=2", tmp_path / "state")
    assert [faults.find("lost-append", M=8) is not None for _ in range(2)] == [True, True]
    assert faults.find("lost-append", M=9) is None
    faults._rules.cache_clear()  # another process: only the directory remembers
    assert faults.find("lost-append", M=8) is None


def test_settings_come_from_the_environment_before_the_file(
    stand_in: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = stand_in("aiter_simulator.settings")
    settings._file_settings.cache_clear()
    (tmp_path / "env").write_text("# ordered by a test\nHIPBMM_SIM_SLEEP=2\nHIPBMM_SIM_JITTER = 0.5\n")
    monkeypatch.setenv("HIPBMM_SIM_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("HIPBMM_SIM_SLEEP", "3")
    assert (settings.number("SLEEP", 0), settings.number("JITTER", 0)) == (3, 0.5)
    for bad in ("x", "-1", "nan"):
        monkeypatch.setenv("HIPBMM_SIM_SLEEP", bad)
        with pytest.raises(settings.SettingError):
            settings.number("SLEEP", 0)
    settings._file_settings.cache_clear()
