"""Every crash: tuner and harvester killed before, in the middle of and after every write-type system call."""

from pathlib import Path

import pytest
from tests.kernel.store import crashes

LEAST = 300


@pytest.mark.timeout(3600)
def test_a_crash_at_any_write_type_call_loses_nothing(tmp_path: Path) -> None:
    count = crashes.calls(tmp_path / "undisturbed")
    killed = 0
    for at in range(1, count + 1):
        for when in crashes.WHENS:
            killed += crashes.check(tmp_path / f"{at}-{when}", at, when)
    assert killed >= LEAST
